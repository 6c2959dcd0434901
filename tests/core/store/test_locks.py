"""Locks between threads and processes, and what becomes of them when a process is killed."""

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.store import locks
from prefopt_core.store.locks import locked

COUNTER = """
import sys, time
from pathlib import Path
from prefopt_core.store.locks import locked

lock, counter = map(Path, sys.argv[1:3])
for _ in range(20):
    with locked(lock, "counting", passing=sys.argv[3] == "passing"):
        count = int(counter.read_text())
        time.sleep(0.001)
        counter.write_text(str(count + 1))
"""
HOLDER = """
import os, subprocess, sys, time
from pathlib import Path
from prefopt_core.store.locks import locked

with locked(Path(sys.argv[1]), "holding"):
    if sys.argv[2] == "fork":
        child = os.fork()
    else:
        child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, close_fds=False).pid
    if child:
        print(child, flush=True)
    time.sleep(60)
"""
CHILD_THAT_LEAVES = """
import os, sys, time
from pathlib import Path
from prefopt_core.store.locks import locked

with locked(Path(sys.argv[1]), "holding"):
    child = os.fork()
    if child:
        print(os.waitpid(child, 0)[1], flush=True)
        time.sleep(60)
"""


def is_held(lock):
    descriptor = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def is_alive(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def enter(lock, **kind):
    """Want the lock in another thread; returns the event that it was given."""
    entered = threading.Event()

    def work():
        with locked(lock, "embed", **kind):
            entered.set()

    threading.Thread(target=work, daemon=True).start()
    return entered


@pytest.mark.parametrize("kind", ["lasting", "passing"])
def test_processes_take_turns(tmp_path, start, kind):
    lock, counter = tmp_path / "lock", tmp_path / "counter"
    counter.write_text("0")
    for process in [start(COUNTER, lock, counter, kind) for _ in range(3)]:
        assert process.wait(30) == 0
    assert counter.read_text() == "60"
    assert lock.exists() == (kind == "lasting")


def test_passing_lock_that_was_waited_for_is_still_a_lock(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, "first", passing=True):
        second = enter(lock, passing=True)
        time.sleep(0.15)  # it has the file open that the first removes
    assert second.wait(5)
    with locked(lock, "third", passing=True):
        assert not enter(lock, passing=True).wait(0.3)


def test_lock_that_others_made_anew_meanwhile_stays_theirs(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, "first", passing=True):
        lock.unlink()  # somebody cleans up by hand
        lock.touch()
    assert lock.exists()


def test_lock_that_is_held_is_not_removed(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, "first"):
        assert locks.is_held(lock, remove=True)
        assert lock.exists()
    assert not locks.is_held(lock, remove=True)
    assert not lock.exists()


def test_threads_take_turns(tmp_path):
    with locked(tmp_path / "lock", "first"):
        entered = enter(tmp_path / "lock")
        assert not entered.wait(0.3)
    assert entered.wait(5)


def test_many_share_a_lock_but_nobody_has_it_alone_meanwhile(tmp_path):
    lock = tmp_path / "lock"
    with locked(lock, "one", shared=True):
        assert enter(lock, shared=True).wait(5)
        alone = enter(lock)
        assert not alone.wait(0.3)
    assert alone.wait(5)


def test_nobody_shares_a_lock_that_one_has_alone(tmp_path):
    with locked(tmp_path / "lock", "alone"):
        shared = enter(tmp_path / "lock", shared=True)
        assert not shared.wait(0.3)
    assert shared.wait(5)


def test_error_in_the_block_releases_the_lock_and_the_file_stays(tmp_path):
    lock = tmp_path / "folder" / "lock"
    with pytest.raises(ZeroDivisionError), locked(lock, "dividing"):
        _ = 1 / 0
    assert lock.exists()
    assert not is_held(lock)


def test_who_waits_is_told_once_for_what(tmp_path, caplog):
    with locked(tmp_path / "lock", "first"):
        entered = enter(tmp_path / "lock")
        time.sleep(0.35)  # several attempts
    assert entered.wait(5)
    assert [record.getMessage() for record in caplog.records] == [
        "embed: another process is at it; waiting for it to finish"
    ]


@pytest.mark.parametrize("kind", ["fork", "exec"])
def test_killed_process_releases_its_lock_though_its_child_lives_on(tmp_path, start, kind):
    lock = tmp_path / "lock"
    process = start(HOLDER, lock, kind)
    child = int(process.stdout.readline())
    try:
        assert is_held(lock)
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
        with locked(lock, "taking over"):
            assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_forked_child_that_leaves_the_block_releases_nothing(tmp_path, start):
    process = start(CHILD_THAT_LEAVES, tmp_path / "lock")
    assert process.stdout.readline() == "0\n"  # how the child ended
    assert is_held(tmp_path / "lock")


def test_lock_that_cannot_be_made_says_where_and_what_to_do(tmp_path):
    (tmp_path / "store").write_text("a file")
    message = rf"Cannot write to {tmp_path}/store/locks .*Move it away, or point PREFOPT_STORE"
    with pytest.raises(StoreError, match=message), locked(tmp_path / "store/locks/x", "a stage"):
        pass
