"""What a shard costs beyond its work, by runner: `python -m benchmarks.shards`.

A stage of shards that compute nothing, in a fresh store; keys, locks, Parquet and manifests are in
it. "first" is the time until the first shard is there: the start of the workers.
"""

import argparse
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

import polars as pl

from prefopt_core.execution.settings import ExecutionConfig
from prefopt_core.execution.workers import hired
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage("nothing", table="logps", version=1, by_shard=True)
def nothing(responses: pl.DataFrame) -> pl.DataFrame:
    """Return the table."""
    return responses


def timed(runner: str, shards: int, count: int) -> tuple[float, float]:
    """(seconds until the first shard is there, milliseconds of each after that)."""
    told: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        frames = [pl.DataFrame({"candidate_id": [f"c{i}"], "logps": [0.0]}) for i in range(shards)]
        table = Artifact(table="logps", shards=tuple(store.put_table("logps", f) for f in frames))
        with hired(ExecutionConfig(runner=runner, workers=count)) as workers:  # type: ignore[arg-type]
            nothing.spec.run(
                store,
                nothing.spec.bind(table),
                on_part=lambda done, total: told.append(time.perf_counter()),
                runner=workers,
            )
    return told[1] - told[0], 1000 * (told[-1] - told[1]) / (shards - 1)


def main() -> None:
    """Print a row for each runner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    count = options.workers
    runners = ["inline", "processes"] + ["ray"] * (importlib.util.find_spec("ray") is not None)
    times = {r: [timed(r, options.shards, count) for _ in range(options.repeat)] for r in runners}
    inline = statistics.median(each for _, each in times["inline"])
    print(f"| runner, {count} workers | first, s | per shard, ms (range) | ratio to inline |")
    print("|---|---|---|---|")
    for runner, found in times.items():
        first, each = (sorted(column) for column in zip(*found, strict=True))
        middle = statistics.median(each)
        print(
            f"| {runner} | {statistics.median(first):.2f} | {middle:.1f} "
            f"({each[0]:.1f}–{each[-1]:.1f}) | {middle / inline:.2f} |"
        )
