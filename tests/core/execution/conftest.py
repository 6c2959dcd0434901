"""A stage of eight shards that does what the test wants, in a module that workers can import."""

import importlib
import sys
from types import SimpleNamespace

import polars as pl
import pytest

from prefopt_core.execution.settings import ExecutionConfig
from prefopt_core.execution.workers import hired
from prefopt_core.store.artifacts import Artifact

SHARDS = 8
MODULE = r"""
import logging, os, signal, sys, time
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.spending import Spending, spend
from prefopt_core.store.stage import Stage

log = logging.getLogger("prefopt_core.somewhere")


class TwoArguments(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def score(responses: pl.DataFrame, what: str, folder: str) -> pl.DataFrame:
    shard, place = responses["candidate_id"][0], Path(folder)
    with (place / f"calls {shard}").open("a") as file:
        file.write(f"{os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES') or None}\n")
    time.sleep(0.1)
    if shard == "c2":
        globals()[what](place)
    return responses.with_columns(logps=pl.lit(float(shard[1:])))


def nothing(place):
    pass


def warn(place):
    report_progress(1, 4)
    log.warning("this is odd")
    spend(Spending(responses=3))


def die_once(place):
    if not (place / "died").exists():
        (place / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def lose_the_node_once(place):
    if not (place / "died").exists():
        (place / "died").touch()
        os.kill(os.getppid(), signal.SIGKILL)  # Ray's own process of this node
        os.kill(os.getpid(), signal.SIGKILL)


def die(place):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(place):
    raise DataError("row 3 is empty")


def fail(place):
    raise TwoArguments("one", "two")


def wait(place):
    time.sleep(60)


scoring = Stage("score", score, 1, "logps", by_shard=True)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the module lies, and the calls of each shard are written down."""
    (tmp_path / "stage_of_a_test.py").write_text(MODULE + "score.spec = scoring\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def shards(store):
    """A table of eight rows, one in each shard."""
    frames = [pl.DataFrame({"candidate_id": [f"c{i}"], "logps": [0.0]}) for i in range(SHARDS)]
    return Artifact(table="logps", shards=tuple(store.put_table("logps", f) for f in frames))


@pytest.fixture
def scored(store, shards, folder):
    """Run the stage by a runner; each test's module is loaded anew."""

    def scored(what="nothing", told=lambda done, total: None, **execution):
        stage = importlib.import_module("stage_of_a_test").scoring
        with hired(ExecutionConfig(**execution)) as workers:
            outcome = stage.run(
                store, stage.bind(shards, what, str(folder)), on_part=told, runner=workers
            )
        calls = [*folder.glob("calls *")]
        made = {c.name[6:]: [line.split() for line in c.read_text().splitlines()] for c in calls}
        for file in calls:
            file.unlink()
        return SimpleNamespace(outcome=outcome, calls=made)

    yield scored
    sys.modules.pop("stage_of_a_test", None)
