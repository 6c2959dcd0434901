"""Annotation stages: `annotate` buys labels; `judge` and `grade` ask without labels."""

from pathlib import Path

import polars as pl

from prefopt_core.annotation import calibration
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig, JudgeConfig
from prefopt_core.annotation.table import buy_labels, distinct_responses, judge, labels_to_buy
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.ground.settings import asks_a_server
from prefopt_core.ground.tables import rows_of
from prefopt_core.labels.account import Allowance, paying
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.running import workspace
from tasks.stage import stage


@stage("annotate", table="verdicts", version=3, labels=labels_to_buy)
def annotate_responses(
    asked: Asked[pl.LazyFrame],
    config: AnnotationConfig,
    labels: int,
    seed: int,
    *,
    allowance: SpeedOnly[Allowance],
    judgments: pl.DataFrame | None = None,
    label_store: LabelStore,
) -> pl.DataFrame:
    """Buy at most `labels` labels for the selected responses; those in `label_store` are reused.

    `allowance` is the budget of the whole run. With `judgments` (table `verdicts`), the prompts of
    which the judge is least sure come first.
    """
    selections = asked.selections.collect()
    texts = asked.candidates.select("candidate_id", "response", "policy")
    known = Asked(selections, rows_of(texts, selections["candidate_id"]), asked.prompts.collect())
    return buy_labels(
        known, config, labels, label_store, seed=seed, allowance=allowance, judgments=judgments
    )


@stage("judge", table="verdicts", version=3, by_shard=True, local=asks_a_server)
def judge_responses(
    asked: Asked[pl.DataFrame],
    policy_logps: pl.DataFrame,
    reference_logps: pl.DataFrame | None,
    config: JudgeConfig,
    *,
    allowance: SpeedOnly[Allowance | None] = None,
    label_store: LabelStore,
) -> pl.DataFrame:
    """Score the selected responses without labels: SPA's direct preference judgment.

    `policy_logps` and `reference_logps` are tables `logps` under policy and reference model. What a
    server is paid comes from the run's budget, `allowance`.
    """
    with paying(label_store, allowance):
        return judge(asked, config, policy_logps, reference_logps, unfinished=_said())


@stage("calibrate", table="verdicts", version=1)
def calibrate_judge(
    judgments: pl.DataFrame,
    asked: Asked[pl.DataFrame],
    held_out: list[pl.DataFrame],
    reference: list[pl.DataFrame],
    config: JudgeConfig,
) -> pl.DataFrame:
    """Make the policy's scores true to labelled pairs that no policy was trained on.

    `held_out` are those pairs as each judging policy scores them, `reference` as the judge's
    reference model does, if it has one.
    """
    beta = config.params["beta"]
    return calibration.calibrate(judgments, asked.candidates, held_out, reference, beta)


@stage("grade", table="verdicts", version=3, by_shard=True, local=asks_a_server)
def grade_responses(
    responses: pl.DataFrame,
    candidates: pl.DataFrame,
    prompts: pl.DataFrame,
    config: AnnotatorConfig,
    *,
    allowance: SpeedOnly[Allowance | None] = None,
    label_store: LabelStore,
) -> pl.DataFrame:
    """Score responses for evaluation only: no label is bought, no policy is trained on them.

    `responses` is the table `candidates`, or `selections` of it. What a server is paid comes from
    the run's budget, `allowance`.
    """
    with paying(label_store, allowance):
        asked = Asked(distinct_responses(responses), candidates, prompts)
        return judge(asked, config, unfinished=_said())


def _said() -> Path:
    """Where a stage that is interrupted keeps its verdicts; of the same inputs, it is the same."""
    return workspace() / "verdicts.jsonl"
