"""Comparison stage: the metrics of many runs in one table `comparison`."""

import polars as pl

from prefopt_core.experiments.results import collect_runs
from tasks.stage import stage


@stage("compare", table="comparison", version=1)
def compare_runs(
    metrics: list[pl.DataFrame],
    rounds: list[int],
    arms: list[str],
    seeds: list[int],
    kept: list[int],
) -> pl.DataFrame:
    """Put the metrics of runs into one table.

    Args:
        metrics: Tables `metrics` of every round of every run, one run after the other.
        rounds: Number of these tables per run.
        arms: Arm of each run.
        seeds: Seed of each run.
        kept: The round whose policy each run returned.
    """
    read = iter(metrics)
    runs = [pl.concat([next(read) for _ in range(count)]) for count in rounds]
    return collect_runs(runs, arms, seeds, kept)
