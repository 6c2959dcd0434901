"""Servers of our own that are killed, or started at once: no run is lost by them."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import httpx
import pytest

from flows.own_server import answers, own_server
from flows.server import outliving
from prefopt_core.ground.errors import PrefoptError


def processes_of(store):
    """Ids of the processes whose Prefect has its home in the store."""
    home, found = f"PREFECT_HOME={store.root / 'prefect'}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if home in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:  # gone, or somebody else's
            continue
    return found


def test_a_run_whose_server_is_lost_is_run_without():
    def run(in_prefect):
        if in_prefect:
            raise httpx.ConnectError("nobody is there")
        return "the result"

    told = []
    assert outliving(run, told.append) == "the result"
    assert ["The run goes on without" in line for line in told] == [True]
    with pytest.raises(ZeroDivisionError):
        outliving(lambda in_prefect: 1 / 0, told.append)


@pytest.mark.slow
def test_a_killed_server_is_started_again_while_requests_wait(store, tools):
    told = []
    with own_server(tell=told.append) as url:
        (first,) = processes_of(store)
        os.kill(first, signal.SIGKILL)
        tools.until(lambda: first not in processes_of(store))
        assert httpx.get(f"{url}/health", timeout=60).json() is True
        assert processes_of(store) != [first]
        tools.until(lambda: told, seconds=5)
    assert told == ["! The Prefect server had ended, and was started again."]
    assert not answers(url)
    assert processes_of(store) == []


@pytest.mark.slow
def test_a_server_that_is_killed_twice_while_it_starts_is_started_once_more(store):
    killed = set()

    def kill():
        while len(killed) < 2:
            for starting in {*processes_of(store)} - killed:
                os.kill(starting, signal.SIGKILL)
                killed.add(starting)
            time.sleep(0.05)

    Thread(target=kill, daemon=True).start()
    with own_server() as url:
        assert answers(url)
    assert len(killed) == 2


@pytest.mark.slow
def test_a_damaged_database_is_named(store):
    database = store.root / "prefect" / "prefect.db"
    database.parent.mkdir(parents=True)
    database.write_text("no database, though it is long enough for the header of one " * 100)
    with pytest.raises(PrefoptError, match=f"{database} is damaged .*Move it away"), own_server():
        pass
    assert processes_of(store) == []


@pytest.mark.slow
def test_two_servers_can_be_started_at_once_on_a_database_that_is_not_there_yet(store):
    def started(_):
        with own_server() as url:
            return answers(url)

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(started, range(2))] == [True, True]


@pytest.mark.slow
def test_a_run_whose_server_is_killed_goes_on_in_it(settings, store, config_file, command, tools):
    settings["training"] |= {"steps": 12, "save_every": 1}
    process = command("run", config_file(settings), PREFECT_API_URL="")
    tools.until(lambda: [*store.root.glob("work/train-*/checkpoints/*/complete")], 120, 0.01)
    for server in processes_of(store):
        os.kill(server, signal.SIGKILL)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 0, printed
    assert printed.count("was started again") == 1
    assert "Traceback" not in printed
