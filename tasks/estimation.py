"""Estimation stages: what is believed of rewards before labels are bought."""

import polars as pl

from prefopt_core.estimation import table
from prefopt_core.estimation.settings import EstimationConfig
from prefopt_core.store.opening import Shards
from tasks.stage import stage


@stage("estimate", table="estimates", version=1)
def estimate_by_labels(
    *,
    candidates: Shards,
    embeddings: Shards,
    preferences: list[pl.DataFrame],
    earlier: list[pl.DataFrame],
    config: EstimationConfig,
    seed: int,
) -> list[pl.DataFrame]:
    """Estimate rewards by the labelled pairs of earlier rounds and embeddings.

    `preferences` are the tables of these rounds, `earlier` the tables `embeddings` they were
    selected by.
    """
    return table.estimate_by_labels(candidates, embeddings, preferences, earlier, config, seed=seed)


@stage("estimate_by_policy", table="estimates", version=1, by_shard=True)
def estimate_by_policy(policy_logps: pl.DataFrame, start_logps: pl.DataFrame) -> pl.DataFrame:
    """Estimate rewards by how log-probabilities have moved since the start policy."""
    return table.estimate_by_policy(policy_logps, start_logps)
