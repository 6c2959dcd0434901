"""Annotation stages: `annotate` buys labels, and it alone; the others ask judges that are free."""

import polars as pl

from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig, JudgeConfig
from prefopt_core.annotation.table import buy_labels, distinct_responses, judge, labels_to_buy
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.store import LabelStore
from tasks.stage import stage


@stage("annotate", table="annotations", version=1, labels=labels_to_buy)
def annotate_responses(
    asked: Asked[pl.DataFrame], config: AnnotationConfig, labels: int, seed: int, kept: LabelStore
) -> pl.DataFrame:
    """Buy at most `labels` labels for the selected responses; `kept` has those bought before."""
    return buy_labels(asked, config, labels, kept, seed=seed)


@stage("judge", table="annotations", version=1, by_shard=True)
def judge_responses(
    asked: Asked[pl.DataFrame],
    policy_logps: pl.DataFrame,
    reference_logps: pl.DataFrame | None,
    config: JudgeConfig,
) -> pl.DataFrame:
    """Score the selected responses without paying: SPA's direct preference judgment."""
    return judge(asked, config, policy_logps, reference_logps)


@stage("grade", table="annotations", version=1, by_shard=True)
def grade_responses(
    responses: pl.DataFrame,
    candidates: pl.DataFrame,
    prompts: pl.DataFrame,
    config: AnnotatorConfig,
) -> pl.DataFrame:
    """Score responses for evaluation only; no label is bought and nothing learns from it.

    `responses` is `candidates` itself, or the selections among them.
    """
    return judge(Asked(prompts, candidates, distinct_responses(responses)), config)
