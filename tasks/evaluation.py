"""Evaluation stage: the figures of one round."""

import polars as pl

from prefopt_core.artifacts import Artifact
from prefopt_core.evaluation import RoundTables, evaluate
from prefopt_core.store import Store
from tasks.stage import stage


@stage("evaluate", table="metrics", version=1)
def evaluate_round(
    round_number: int,
    seed: int,
    responses: Artifact | None = None,
    grades: Artifact | None = None,
    start_grades: Artifact | None = None,
    previous_grades: Artifact | None = None,
    preferences: Artifact | None = None,
    annotations: Artifact | None = None,
    truth: Artifact | None = None,
) -> pl.DataFrame:
    """Measure a round by what is known of it; see `RoundTables`."""
    given = (
        responses, grades, start_grades, previous_grades, preferences, annotations, truth
    )  # fmt: skip
    read = Store.open().read
    tables = RoundTables(*(read(table) if table else None for table in given))
    return evaluate(tables, round_number=round_number, seed=seed)
