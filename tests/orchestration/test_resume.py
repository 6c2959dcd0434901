"""Kill a run at any moment, start it again: the same bytes, nothing twice."""

import os
import random
import time
from contextlib import suppress

import pytest

from prefopt_core.ground.files import TEMPORARY
from prefopt_core.labels.store import LabelStore
from prefopt_core.store import maintenance
from prefopt_core.training.resume import MARKER

KILLS = 8
TRAINING, BUYING = (2, 5), 3  # kills that wait for a moment in these


@pytest.fixture
def resumable(settings):
    """A run long enough to be killed in all its parts."""
    settings["training"] |= {"steps": 8, "save_every": 1}
    return settings


@pytest.fixture
def start(command, resumable, config_file, tmp_path):
    """Start the run in a store; its paid calls are counted in a file beside the store."""
    config = config_file(resumable)

    def start(store):
        calls = store.root.with_suffix(".calls")
        return command(
            "run", config, "--no-server", PREFOPT_STORE=str(store.root), CALLS=str(calls)
        )

    return start


def _finish(process):
    printed, _ = process.communicate(timeout=180)
    assert process.returncode == 0, printed
    return printed


def _manifests(store):
    """Path → when it was written, of every manifest."""
    paths = (store.root / "manifests").glob("*/*.json")
    return {path: path.stat().st_mtime_ns for path in paths if TEMPORARY not in path.name}


def _checkpoints(store):
    """Steps of the complete checkpoints of the training that goes on."""
    markers = store.root.glob(f"work/train-*/checkpoints/checkpoint-*/{MARKER}")
    return {int(marker.parent.name.rpartition("-")[2]) for marker in markers}


def _labels(store):
    with suppress(Exception):  # the table is just being made
        return sum(count for *_, count in LabelStore(store.root).counts())
    return 0


def _progress(store):
    """Grows with everything a run finishes."""
    return len(_manifests(store)) + max(_checkpoints(store), default=0)


def _moment(number, rng, store):
    """What a kill waits for."""
    if number in TRAINING:
        wanted = rng.randint(2, 4) + max(_checkpoints(store), default=0)
        return lambda: max(_checkpoints(store), default=0) >= wanted
    if number == BUYING and _labels(store) == 0:
        return lambda: _labels(store) >= 3
    wanted = _progress(store) + rng.randint(1, 8)
    return lambda: _progress(store) >= wanted


def _kill_at(process, moment, tools, seen=lambda: None):
    """Kill the run when the moment has come; returns whether it came before the end."""
    while process.poll() is None:
        seen()
        if moment():
            tools.kill(process)
            process.wait()
            return True
        time.sleep(0.005)
    return False


def _check_whole(store):
    """What has its final name is whole; only temporary names are unfinished."""
    assert [problem for _, problem in maintenance.verify(store) if problem] == []
    assert len(list(store.manifests())) == len(_manifests(store))  # all are readable
    assert not list((store.root / "quarantine").glob("*"))


@pytest.mark.slow
def test_a_run_killed_many_times_ends_as_if_undisturbed(
    start, store, other_store, contents, tools, tmp_path
):
    _finish(start(store))
    disturbed, rng = other_store(), random.Random(0)
    killed = 0
    for number in range(KILLS):
        before = _manifests(disturbed)
        process = start(disturbed)
        was_killed = _kill_at(process, _moment(number, rng, disturbed), tools)
        if was_killed:
            killed += 1
            _check_whole(disturbed)
        assert before.items() <= _manifests(disturbed).items()  # what was finished stays
        if not was_killed:
            break
    assert killed >= 6
    before = _manifests(disturbed)
    _finish(start(disturbed))
    assert before.items() <= _manifests(disturbed).items()
    assert contents(disturbed) == contents(store)
    assert {path.relative_to(disturbed.root) for path in _manifests(disturbed)} == {
        path.relative_to(store.root) for path in _manifests(store)
    }
    asked = disturbed.root.with_suffix(".calls").read_text().splitlines()
    assert len(asked) == len(set(asked)) == _labels(disturbed) == _labels(store) == 12
    maintenance.collect_garbage(disturbed)  # what kills left behind, and nothing else
    assert contents(disturbed) == contents(store)
    assert not list((disturbed.root / "work").iterdir())
    assert not list(disturbed.root.rglob(f"{TEMPORARY}*"))
    _check_whole(disturbed)


@pytest.mark.slow
def test_training_goes_on_from_its_last_checkpoint(start, store, tools):
    process = start(store)
    assert _kill_at(process, lambda: max(_checkpoints(store), default=0) >= 4, tools)
    reached = max(_checkpoints(store))
    (training,) = store.root.glob("work/train-*")
    marker = training / "checkpoints" / f"checkpoint-{reached}" / MARKER
    written = marker.stat().st_mtime_ns
    seen: set[int] = set()

    def look():
        for path in training.glob("checkpoints/checkpoint-*"):
            seen.add(int(path.name.rpartition("-")[2]))

    seen_before = {*_checkpoints(store)}
    process = start(store)
    goes_on = lambda: max(_checkpoints(store), default=0) > reached  # noqa: E731
    assert _kill_at(process, goes_on, tools, look)
    assert min(seen) >= min(seen_before) >= reached - 2  # none was made again
    if marker.exists():
        assert marker.stat().st_mtime_ns == written


@pytest.mark.slow
def test_an_interrupt_says_that_the_same_command_goes_on(start, store, tools):
    process = start(store)
    tools.until(lambda: _manifests(store))
    os.kill(process.pid, 2)
    printed, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "the same command goes on from here" in printed
    assert "Traceback" not in printed
    _check_whole(store)
