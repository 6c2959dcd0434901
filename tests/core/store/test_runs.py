"""Records of runs: what is listed, found by name, and left by a kill."""

import time

import pytest

from prefopt_core.ground.errors import AwaitingLabelsError, StoreError
from prefopt_core.store import maintenance
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.runs import Run, find_run, last_run, note, recorded, runs
from prefopt_core.store.store import Store

PAIRS = (Artifact(table="preferences", shards=()),)


def record(name, settings="a", **fields):
    started = fields.pop("started", time.time())
    return Run(name=name, flow="align", settings=settings, model="", started=started, **fields)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_the_last_run_is_that_which_ended_last_with_results(store):
    with pytest.raises(StoreError, match=r"No run has ended.*--artifact"):
        last_run(store)
    for name in ("one", "two"):
        with recorded(store, record(name)):
            note(store, name, preferences=PAIRS)
    with recorded(store, record("three")):
        pass
    assert last_run(store).name == "two"
    assert [run.name for run in runs(store)] == ["three", "two", "one"]


def test_a_run_is_found_by_its_name_or_the_start_of_it(store):
    for name in ("quick", "quick-0-abc", "slow-0-abc"):
        with recorded(store, record(name)):
            pass
    assert find_run(store, "quick").name == "quick"
    assert find_run(store, "slow").name == "slow-0-abc"
    assert find_run(store, "sl").name == "slow-0-abc"
    with pytest.raises(StoreError, match=r"2 runs begin with 'qu': quick-0-abc, quick\. Give more"):
        find_run(store, "qu")
    with pytest.raises(StoreError, match=r"no run 'slaw-0-abc'.*'slow-0-abc'.*prefopt runs"):
        find_run(store, "slaw-0-abc")


def test_the_state_says_how_a_run_ended(store):
    with recorded(store, record("done")):
        assert find_run(store, "done").state == "running"
    assert find_run(store, "done").state == "completed"
    with pytest.raises(ValueError, match="no"), recorded(store, record("wrong")):
        raise ValueError("no")
    assert find_run(store, "wrong").state == "failed"
    assert find_run(store, "wrong").reason == "ValueError: no"
    with pytest.raises(AwaitingLabelsError), recorded(store, record("asks")):
        raise AwaitingLabelsError("awaiting 3 labels")
    assert find_run(store, "asks").state == "waiting"


def test_what_turns_out_to_be_no_run_leaves_the_record_as_it_was(store):
    class NoRun(BaseException):
        pass

    with pytest.raises(NoRun), recorded(store, record("one"), (NoRun,)):
        raise NoRun
    assert runs(store) == []
    with recorded(store, record("one")):
        note(store, "one", preferences=PAIRS)
    (before,) = runs(store)
    with pytest.raises(NoRun), recorded(store, record("one"), (NoRun,)):
        raise NoRun
    assert runs(store) == [before]


def test_a_killed_run_is_told_from_one_that_goes_on(store, start):
    code = (
        "import sys, time; from pathlib import Path\n"
        "from prefopt_core.store.runs import *; from prefopt_core.store.store import Store\n"
        "run = Run(name='long', flow='align', settings='a', model='', started=0.0)\n"
        "with recorded(Store(Path(sys.argv[1])), run): print('on', flush=True); time.sleep(60)\n"
    )
    process = start(code, store.root)
    assert process.stdout.readline() == "on\n"
    assert find_run(store, "long").state == "running"
    process.kill()
    process.wait()
    assert find_run(store, "long").state == "killed"


def test_results_stay_in_the_record_while_the_same_settings_run_again(store):
    with recorded(store, record("again")):
        note(store, "again", preferences=PAIRS, win_rate=0.5)
    with recorded(store, record("again")):
        assert find_run(store, "again").win_rate == 0.5
    with recorded(store, record("again", settings="others")):
        assert find_run(store, "again").win_rate is None


def test_a_run_that_comes_to_the_same_again_keeps_the_time_at_which_it_started(store):
    for started, win_rate in ((1000.0, 0.5), (2000.0, 0.5), (3000.0, 0.6)):
        with recorded(store, record("again", started=started)):
            note(store, "again", preferences=PAIRS, win_rate=win_rate)
        assert find_run(store, "again").started == {0.5: 1000.0, 0.6: 3000.0}[win_rate]


def test_an_interrupted_run_is_stopped_and_did_not_fail(store):
    with pytest.raises(KeyboardInterrupt), recorded(store, record("one")):
        raise KeyboardInterrupt
    run = find_run(store, "one")
    assert (run.state, run.reason) == ("stopped", "interrupted; the same command goes on from here")


def test_what_a_kill_leaves_of_a_record_is_collected(store, monkeypatch):
    with recorded(store, record("one")):
        note(store, "one", preferences=PAIRS)
    with recorded(store, record("one")):
        monkeypatch.setattr("prefopt_core.ground.files.publish", die)
        monkeypatch.setattr("pathlib.Path.unlink", lambda *arguments, **options: None)
        with pytest.raises(KeyboardInterrupt):
            note(store, "one", preferences=())
        monkeypatch.undo()
    assert maintenance.collect_garbage(store)[0] == 1
    assert last_run(store).preferences == PAIRS


def die(source, target):
    raise KeyboardInterrupt
