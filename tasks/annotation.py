"""Annotation stages: `annotate` buys labels, and it alone; the others ask judges that are free."""

import polars as pl

from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig, JudgeConfig
from prefopt_core.annotation.table import buy_labels, judge, labels_to_buy, worth_grading
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


def _count(
    selections: Artifact,
    candidates: Artifact,
    prompts: Artifact,
    config: AnnotationConfig,
    labels: int,
    seed: int,
) -> int:
    store = Store.open()
    selected = store.read(selections)
    return labels_to_buy(selected, config, labels, LabelStore(store.root), seed=seed)


@stage(
    "annotate",
    table="annotations",
    version=1,
    labels=_count,
)
def annotate_responses(
    selections: Artifact,
    candidates: Artifact,
    prompts: Artifact,
    config: AnnotationConfig,
    labels: int,
    seed: int,
) -> pl.DataFrame:
    """Buy at most `labels` labels for the selected responses."""
    store = Store.open()
    return buy_labels(
        store.read(selections),
        store.read(candidates),
        store.read(prompts),
        config,
        labels,
        LabelStore(store.root),
        seed=seed,
    )


@stage("judge", table="annotations", version=1, by_shard=True)
def judge_responses(
    selections: Artifact,
    candidates: Artifact,
    prompts: Artifact,
    policy_logps: Artifact,
    reference_logps: Artifact | None,
    config: JudgeConfig,
) -> pl.DataFrame:
    """Score the selected responses without paying: SPA's direct preference judgment."""
    read = Store.open().read
    return judge(
        read(selections),
        read(candidates),
        read(prompts),
        read(policy_logps),
        read(reference_logps) if reference_logps else None,
        config,
    )


@stage("grade", table="annotations", version=1, by_shard=True)
def grade_responses(
    responses: Artifact, candidates: Artifact, prompts: Artifact, config: AnnotatorConfig
) -> pl.DataFrame:
    """Score responses for evaluation only; no label is bought and nothing learns from it.

    `responses` is `candidates` itself, or the selections among them.
    """
    store = Store.open()
    wanted = worth_grading(store.read(responses))
    return judge(wanted, store.read(candidates), store.read(prompts), None, None, config)
