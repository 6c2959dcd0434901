"""Shards and what holds them together: milliseconds, bytes of manifests, requests to S3."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl

from benchmarks.scale.tables import Figures, Watched
from benchmarks.shards.cost import nothing, timed
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store
from tests.object_server import object_server


def whole(logps: pl.DataFrame) -> pl.DataFrame:
    """Return the table."""
    return logps


WHOLE = Stage("whole", whole, 1, "logps")
"""Reads all shards of its table at once."""


def table(store: Store, count: int) -> Artifact:
    """A table of so many shards, a row each."""
    frames = [pl.DataFrame({"candidate_id": [f"c{i}"], "logps": [0.0]}) for i in range(count)]
    return Artifact(table="logps", shards=tuple(store.put_table("logps", f) for f in frames))


def shards(count: int, folder: Path, watched: Watched) -> Figures:
    """Commit and look up shards; how large manifests are."""
    store = Store(folder / "store")
    arguments = nothing.spec.bind(table(store, count))
    figures = {f"commit {k}": v for k, v in _run(watched, nothing.spec, store, arguments).items()}
    found = watched(lambda: nothing.spec.find(store, arguments))
    figures |= {f"find {name}": value for name, value in found.items()}
    WHOLE.run(store, WHOLE.bind(*arguments.values()))
    for stage in ("nothing", "whole"):
        sizes = [path.stat().st_size for path in store.root.glob(f"manifests/{stage}/*.json")]
        figures[f"{stage} manifest bytes"] = sum(sizes) / len(sizes)
    return figures


def _run(watched: Watched, stage: Stage, store: Store, arguments: dict[str, object]) -> Figures:
    return watched(lambda: stage.run(store, arguments))


def workers(count: int, folder: Path, watched: Watched) -> Figures:
    """Processor time that the run's own process spends on shards that two workers compute."""
    before = os.times()
    timed("processes", count, 2)
    after = os.times()
    return {"driver seconds": after.user + after.system - before.user - before.system}


def requests(count: int, folder: Path, watched: Watched) -> Figures:
    """Requests of one process that computes shards, and of the next one that finds them."""
    figures: Figures = {}
    with object_server() as server:
        environment = os.environ | server.environment | {"PREFOPT_STORE": "s3://bucket/store"}
        for what, cache in (("computed", "one"), ("found here", "one"), ("found elsewhere", "two")):
            server.requests.clear()
            subprocess.run(
                [sys.executable, "-m", "benchmarks.scale.behind_url", str(count)],
                env=environment | {"XDG_CACHE_HOME": str(folder / cache)},
                check=True,
            )
            methods = Counter(method for method, _ in server.requests)
            figures[what] = float(methods.total())
            figures[f"{what} PUT"] = float(methods["PUT"])
    return figures
