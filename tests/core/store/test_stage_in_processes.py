"""Stages that several processes want at once, and stages whose process is killed."""

import hashlib
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest

from prefopt_core.store.maintenance import collect_garbage
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

pytestmark = pytest.mark.slow

# Scores 8 shards of 5,000 rows; every call leaves the number of its shard in `calls`.
SCORE = """
import sys, time
from pathlib import Path
import numpy as np, polars as pl
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

root, calls, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
store = Store(root)

def score(responses):
    frame = store.read(responses)
    with calls.open("a") as file:
        file.write(frame["candidate_id"][0] + chr(10))
    time.sleep(pause)
    seed = int(frame["candidate_id"][0].partition(" ")[0])
    drawn = np.random.default_rng(seed).normal(size=frame.height)
    return frame.with_columns(logps=pl.Series(drawn))

def shard(number):
    ids = [f"{number} {row}" for row in range(5_000)]
    return store.put_table("logps", pl.DataFrame({"candidate_id": ids, "logps": 0.0}))

responses = Artifact(table="logps", shards=tuple(map(shard, range(8))))
spec = Stage("score", score, 1, "logps", by_shard=True)
print("ready", flush=True)
outcome = spec.run(store, {"responses": responses})
print(outcome.hits, outcome.value.digest)
"""
# Kills itself once its checkpoint is on disk, unless it finds one there.
TRAIN = """
import os, signal, sys
from pathlib import Path
from prefopt_core.store.running import fresh_folder, workspace
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

def train(seed):
    checkpoint, output = workspace() / "checkpoint", fresh_folder("model")
    found = checkpoint.exists()
    (output / "weights").write_text("half" if not found else "whole")
    checkpoint.touch()
    if not found:
        os.kill(os.getpid(), signal.SIGKILL)
    return output

store = Store(Path(sys.argv[1]))
model = Stage("train", train, 1, None).run(store, {"seed": 0}).value
print((store.open_folder(model) / "weights").read_text())
"""
FILL_THE_DISK = """
import json, sys
from pathlib import Path
import numpy as np, polars as pl
from prefopt_core.store.artifacts import Artifact
from prefopt_core.ground.errors import StoreError
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store

disk, calls = Path(sys.argv[1]), []
store = Store(disk / "store")
ballast = disk / "ballast"
ids = [str(row) for row in range(5_000)]

def score(responses):
    calls.append(responses.digest)
    drawn = np.random.default_rng(len(calls)).normal(size=5_000)
    return pl.DataFrame({"candidate_id": ids, "logps": drawn})

def shard(number):
    logps = float(number)
    return store.put_table("logps", pl.DataFrame({"candidate_id": ids, "logps": logps}))

responses = Artifact(table="logps", shards=tuple(map(shard, range(6))))
ballast.write_bytes(bytes(800_000))
spec, message = Stage("score", score, 1, "logps", by_shard=True), ""
try:
    spec.run(store, {"responses": responses})
except StoreError as error:
    message = str(error)
left = [str(path) for path in store.root.rglob(".tmp-*")]
ballast.unlink()
before = len(calls)
outcome = spec.run(store, {"responses": responses})
rows = store.read(outcome.value).height
print(json.dumps([message, left, before, outcome.hits, len(calls), rows]))
"""


def objects(store):
    """Name → bytes of every object that has its final name."""
    paths = (store.root / "objects").glob("*/*.parquet")
    return {path.stem: path.read_bytes() for path in paths}


def finished(store):
    """The shards that are committed, by the number of their first row."""
    tables = (store.read(manifest.output) for manifest in store.manifests("score"))
    return {table["candidate_id"][0] for table in tables}


def started(calls):
    return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The store of a run that nothing happened to, and the digest of its result."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("undisturbed")
    command = [sys.executable, "-c", SCORE, folder / "store", folder / "calls", "0"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return Store(folder / "store"), printed.split()[-1]


def test_two_processes_that_want_the_same_compute_it_once(tmp_path, start, undisturbed):
    store, calls = Store(tmp_path / "store"), tmp_path / "calls"
    processes = [start(SCORE, store.root, calls, 0.05) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(started(calls)) == [f"{number} 0" for number in range(8)]
    assert sum(int(hits) for _, hits, _ in printed) == 8  # what one computed, the other found
    assert {digest for _, _, digest in printed} == {undisturbed[1]}


def test_many_threads_that_want_two_results_compute_two(store):
    calls, barrier = [], threading.Barrier(8)

    def score(number):
        calls.append(number)
        time.sleep(0.05)
        return pl.DataFrame({"candidate_id": ["a"], "logps": [float(number)]})

    spec = Stage("score", score, 1, "logps")

    def want(number):
        barrier.wait()
        return spec.run(store, {"number": number}).value

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(want, [0, 1] * 4))
    assert sorted(calls) == [0, 1]
    assert made == made[:2] * 4


@pytest.mark.parametrize("seed", range(2))
def test_run_killed_at_any_moment_goes_on_from_what_is_finished(
    tmp_path, start, run_code, undisturbed, seed
):
    store, calls = Store(tmp_path / "store"), tmp_path / "calls"
    kills = 0
    for delay in np.random.default_rng(seed).uniform(0.0, 0.15, size=4):
        done, before = finished(store), len(started(calls))
        process = start(SCORE, store.root, calls, 0.0)
        process.stdout.readline()
        time.sleep(delay)
        process.kill()
        kills += process.wait(10) == -signal.SIGKILL
        # Nothing half-written is readable, and nothing finished was computed again.
        for name, data in objects(store).items():
            assert hashlib.sha256(data).hexdigest() == name
        assert done <= finished(store)
        assert not done & set(started(calls)[before:])
        assert len(started(calls)[before:]) <= len(finished(store)) - len(done) + 1
    hits = len(finished(store))
    _, found, digest = run_code(SCORE, store.root, calls, 0.0).split()
    assert (int(found), digest) == (hits, undisturbed[1])
    assert len(started(calls)) <= 8 + kills
    assert objects(store) == objects(undisturbed[0])
    collect_garbage(store)
    assert not list(store.root.rglob(".tmp-*"))
    assert len(finished(store)) == 8


def test_stage_killed_while_it_computes_is_computed_by_who_waits(tmp_path, start, undisturbed):
    store, calls = Store(tmp_path / "store"), tmp_path / "calls"
    first = start(SCORE, store.root, calls, 30.0)
    while not started(calls):
        time.sleep(0.01)
    second = start(SCORE, store.root, calls, 0.0)
    second.stdout.readline()
    time.sleep(0.2)
    assert started(calls) == ["0 0"]  # the second waits
    first.kill()
    assert second.communicate(timeout=60)[0].split()[-1] == undisturbed[1]
    assert started(calls)[:2] == ["0 0", "0 0"]


def test_killed_training_goes_on_from_what_it_left_in_its_workspace(tmp_path, start, run_code):
    store = Store(tmp_path / "store")
    assert start(TRAIN, store.root).wait(30) == -signal.SIGKILL
    assert [path.name for path in (store.root / "work").glob("*/*")] != []
    assert list(store.manifests()) == []
    assert run_code(TRAIN, store.root) == "whole\n"
    assert list((store.root / "work").iterdir()) == []
    assert run_code(TRAIN, store.root) == "whole\n"


def test_stage_on_a_full_disk_says_so_and_goes_on_when_there_is_space(small_disk):
    printed = small_disk(FILL_THE_DISK, kilobytes=1024)
    message, left, before, hits, calls, rows = json.loads(printed)
    assert "the disk is full. Free some space (`prefopt cache gc`)" in message
    assert "the same command goes on from what is finished" in message
    assert left == []
    assert 0 < hits < 6
    assert before == hits + 1  # one was computed and could not be written
    assert calls == before + 6 - hits
    assert rows == 6 * 5_000
