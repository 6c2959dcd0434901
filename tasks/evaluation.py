"""Evaluation stages: the metrics of one round; what several policies answered, as one table."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from prefopt_core.evaluation import contest, stopping
from prefopt_core.evaluation.stopping import Stop
from prefopt_core.evaluation.table import RoundTables, evaluate
from prefopt_core.ground.tables import rows_of
from prefopt_core.store.artifacts import Artifact
from prefopt_core.training.log import read_log
from tasks.session import current_store, planning
from tasks.stage import stage


@stage("evaluate", table="metrics", version=6)
def evaluate_round(
    *,
    round_number: int,
    seed: int,
    responses: pl.DataFrame | None = None,
    grades: pl.DataFrame | None = None,
    start_responses: pl.DataFrame | None = None,
    start_grades: pl.DataFrame | None = None,
    previous_responses: pl.DataFrame | None = None,
    previous_grades: pl.DataFrame | None = None,
    preferences: pl.DataFrame | None = None,
    labels: pl.DataFrame | None = None,
    candidates: pl.LazyFrame | None = None,
    truth: pl.DataFrame | None = None,
    start_logps: pl.DataFrame | None = None,
    policy: Path | None = None,
) -> pl.DataFrame:
    """Compute the metrics of a round from its tables; see `RoundTables`.

    `policy` is the folder of the trained policy, whose training log is read.
    """
    steps, flagged = read_log(policy) if policy else (None, None)
    texts = None
    if candidates is not None and labels is not None:
        known = candidates.select("candidate_id", "response")
        texts = rows_of(known, labels["responses"].explode())
    tables = RoundTables(
        responses=responses,
        grades=grades,
        start_responses=start_responses,
        start_grades=start_grades,
        previous_responses=previous_responses,
        previous_grades=previous_grades,
        preferences=preferences,
        labels=labels,
        candidates=texts,
        truth=truth,
        start_logps=start_logps,
        steps=steps,
        flagged=flagged,
    )
    return evaluate(tables, round_number=round_number, seed=seed)


@stage("gather_responses", table="candidates", version=1)
def gather_responses(responses: list[pl.DataFrame]) -> pl.DataFrame:
    """Put the responses of several policies to the same prompts side by side."""
    return contest.together(responses)


@stage("gather_prompts", table="prompts", version=1)
def gather_prompts(prompts: list[pl.DataFrame], responses: pl.DataFrame) -> pl.DataFrame:
    """Take the prompts that `responses` (table `candidates`) are about."""
    every = pl.concat(prompts, how="diagonal").unique("prompt_id", keep="first")
    return every.join(responses, "prompt_id", how="semi").sort("prompt_id")


def should_stop(metrics: Artifact, rule: Stop) -> bool:
    """Whether the run ends after the round of these metrics; while planning, never."""
    return not planning() and stopping.should_stop(current_store().read(metrics), rule)


def best_round(metrics: Sequence[Artifact]) -> int:
    """Number of the best round by its metrics; while planning, of the last."""
    if planning():
        return len(metrics) - 1
    return stopping.best_round(current_store().read_all(metrics))
