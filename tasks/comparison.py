"""Comparison: one table of the figures of many runs."""

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
    """Put the figures of runs into one table.

    `metrics` are those of every round of every run, one run after the other; `rounds` says how
    many belong to each run, `arms` and `seeds` what it was, `kept` which round it returned.
    """
    read = iter(metrics)
    runs = [pl.concat([next(read) for _ in range(count)]) for count in rounds]
    return collect_runs(runs, arms, seeds, kept)
