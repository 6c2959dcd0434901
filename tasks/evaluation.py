"""Evaluation stage: the figures of one round."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.evaluation import stopping
from prefopt_core.evaluation.stopping import Stop
from prefopt_core.evaluation.table import RoundTables, evaluate
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.store import Store
from prefopt_core.training.log import read_log
from tasks.stage import planning, stage


@stage("evaluate", table="metrics", version=3)
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
    start_logps: Artifact | None = None,
    policy: Model | None = None,
) -> pl.DataFrame:
    """Measure a round by what is known of it; see `RoundTables`. `policy` brings its log."""
    store = Store.open()
    steps, flagged = read_log(store.open_model(policy)) if policy else (None, None)

    def known(table: Artifact | None) -> pl.DataFrame | None:
        return store.read(table) if table else None

    tables = RoundTables(
        responses=known(responses),
        grades=known(grades),
        start_grades=known(start_grades),
        previous_grades=known(previous_grades),
        preferences=known(preferences),
        annotations=known(annotations),
        truth=known(truth),
        start_logps=known(start_logps),
        steps=steps,
        flagged=flagged,
    )
    return evaluate(tables, round_number=round_number, seed=seed)


def should_stop(metrics: Artifact, rule: Stop) -> bool:
    """Whether the run ends with the round of these figures; a plan counts on all rounds."""
    return not planning() and stopping.should_stop(Store.open().read(metrics), rule)


def best_round(metrics: Sequence[Artifact]) -> int:
    """The round to keep; a plan knows no better than the last."""
    if planning():
        return len(metrics) - 1
    return stopping.best_round(pl.concat([Store.open().read(table) for table in metrics]))
