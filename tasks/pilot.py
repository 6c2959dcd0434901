"""Stages of a pilot: labelled pairs in folds, and how a judge does on those it has not seen."""

import polars as pl

from prefopt_core.evaluation import pilot
from tasks.stage import stage


@stage("leave_out", table="preferences", version=1)
def leave_out(pairs: pl.DataFrame, fold: int, folds: int, seed: int) -> pl.DataFrame:
    """Take the pairs of all folds but one, from 0."""
    return pilot.leave_out(pairs, fold, folds, seed=seed)


@stage("responses_of_fold", table="candidates", version=1)
def responses_of(
    pairs: pl.DataFrame, candidates: pl.LazyFrame, fold: int, folds: int, seed: int
) -> pl.DataFrame:
    """Take the responses of the fold that `leave_out` leaves out."""
    return pilot.responses_of(pairs, candidates, fold, folds, seed=seed)


@stage("measure_agreement", table="metrics", version=1)
def measure_agreement(pairs: pl.DataFrame, judgments: list[pl.DataFrame]) -> pl.DataFrame:
    """Measure how a judge does on labelled pairs, by its `verdicts` on each fold."""
    return pilot.agreement(pairs, judgments)
