"""Shards in several processes: the same results, whatever dies."""

import logging
import os
import re
import signal
import time
from pathlib import Path

import pytest

from prefopt_core.execution.processes import places
from prefopt_core.execution.settings import ExecutionConfig, Resources
from prefopt_core.ground.errors import ConfigError, DataError, PrefoptError
from prefopt_core.ground.progress import listening
from prefopt_core.ground.spending import adding_up

TWO = {"runner": "processes", "workers": 2}


def test_shards_in_processes_come_to_the_same_as_inline(scored, store):
    here, told = os.getpid(), []
    made = scored(**TWO, told=lambda done, total: told.append((done, total)))
    pids = {int(pid) for calls in made.calls.values() for pid, _ in calls}
    assert (len(pids), here in pids) == (2, False)
    assert told == [(done, 8) for done in range(9)]
    found = scored()  # by this process, under the same keys
    assert (found.outcome.value, found.outcome.hits, found.calls) == (made.outcome.value, 8, {})
    assert store.read(made.outcome.value)["logps"].to_list() == [float(i) for i in range(8)]
    assert [m.role for m in store.manifests("score")] == [""] * 8


def test_what_is_in_the_store_starts_no_process(scored, monkeypatch):
    scored()
    monkeypatch.setattr("subprocess.Popen", None)
    assert scored(**TWO).outcome.cached


def test_killed_worker_costs_its_shard_once_more(scored, caplog):
    made = scored("die_once", **TWO)
    assert len(made.calls["c2"]) == 2
    assert sum(map(len, made.calls.values())) == 9
    assert made.outcome.parts == 8
    (line,) = caplog.messages
    assert re.fullmatch(
        r"score, shard 3 of 8: its worker is gone \(process \d+ was killed by signal 9 \(Killed\)\)"
        "; another one takes it, attempt 2 of 4", line,
    )  # fmt: skip


@pytest.mark.slow
def test_shard_that_always_kills_its_worker_is_named(scored, folder):
    with pytest.raises(PrefoptError, match=r"shard 3 of 8 lost its worker 2 times.*signal 9"):
        scored("die", attempts=2, **TWO)
    assert len((folder / "calls c2").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("what", "kind", "text"),
    [
        ("refuse", DataError, "^row 3 is empty$"),
        ("fail", RuntimeError, "^TwoArguments: one and two"),
    ],
)
def test_error_in_a_worker_is_raised_as_it_is_and_once(scored, folder, what, kind, text):
    with pytest.raises(kind, match=text):
        scored(what, **TWO)
    assert len((folder / "calls c2").read_text().splitlines()) == 1


def test_warnings_spending_and_progress_come_back(scored, caplog):
    fractions = []
    with adding_up() as spent, listening(lambda done, total: fractions.append(done / total)):
        scored("warn", runner="processes", workers=1)
    assert caplog.messages == ["score, shard 3 of 8: this is odd"]
    assert caplog.records[0].levelno == logging.WARNING
    assert spent.responses == 3
    assert 0.25 in fractions


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


RUN = """
import sys
from pathlib import Path
import polars as pl
sys.path.insert(0, sys.argv[1])
from prefopt_core.execution.settings import ExecutionConfig
from prefopt_core.execution.workers import hired
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from stage_of_a_test import scoring

store = Store(Path(sys.argv[1]) / "store")
frames = [pl.DataFrame({"candidate_id": [f"c{i}"], "logps": [0.0]}) for i in (2, 3)]
table = Artifact(table="logps", shards=tuple(store.put_table("logps", f) for f in frames))
with hired(ExecutionConfig(runner="processes", workers=2)) as workers:
    scoring.run(store, scoring.bind(table, "wait", sys.argv[1]), runner=workers)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_die_with_the_run_however_that_ends(start, folder, how):
    run, calls = start(RUN, folder), [folder / "calls c2", folder / "calls c3"]
    while not all(path.exists() and path.read_text() for path in calls):
        assert run.poll() is None
        time.sleep(0.05)
    workers = [path.read_text().split()[0] for path in calls]
    run.send_signal(how)
    run.wait(20)
    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))


def test_each_worker_sees_its_own_gpus(scored, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    made = scored(**TWO, stages={"score": {"gpus": 1}})
    assert {gpu for calls in made.calls.values() for _, gpu in calls} == {"4", "5"}


@pytest.mark.parametrize(
    ("gpus", "cpus", "workers", "seen"),
    [
        (0, 1, 3, ["", "", ""]),
        (1, 1, 9, ["4", "5", "6"]),
        (2, 1, 9, ["4,5"]),
        (0.5, 1, 9, ["4", "5", "6", "4", "5", "6"]),
        (0.5, 1, 2, ["4", "5"]),
    ],
)
def test_there_are_as_many_workers_as_gpus_have_room_for(monkeypatch, gpus, cpus, workers, seen):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    config = ExecutionConfig(runner="processes", workers=workers)
    found = places(config, Resources(gpus=gpus, cpus=cpus), "generate")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in found] == seen


def test_more_gpus_than_there_are_is_refused_before_anything_starts(scored, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    monkeypatch.setattr("subprocess.Popen", None)
    with pytest.raises(ConfigError, match=r"stages\.score\.gpus` is 4, and this machine has 3 GPU"):
        scored(**TWO, stages={"score": {"gpus": 4}})
