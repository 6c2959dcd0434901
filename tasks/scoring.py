"""Scoring stages: log-probabilities under a model, computed once for judge and training."""

import polars as pl

from prefopt_core.scoring import table
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage("score", table="logps", version=1, by_shard=True)
def score_responses(
    selections: Artifact,
    candidates: Artifact,
    prompts: Artifact,
    policy: Model,
    config: ScoringConfig,
) -> pl.DataFrame:
    """Sum the log-probabilities of the selected responses under `policy`."""
    store = Store.open()
    return table.score_candidates(
        store.read(selections),
        store.read(candidates),
        store.read(prompts),
        store.open_model(policy),
        config,
    )


@stage("score_preferences", table="preferences", version=1)
def score_preferences(
    preferences: list[Artifact], policy: Model, config: ScoringConfig
) -> pl.DataFrame:
    """Give pairs that are used again the log-probabilities of their new reference."""
    store = Store.open()
    pairs = [store.read(table) for table in preferences]
    return table.score_preferences(pairs, store.open_model(policy), config)
