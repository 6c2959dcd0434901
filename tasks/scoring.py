"""Scoring stages: log-probabilities of responses under a policy or reference model."""

from pathlib import Path

import polars as pl

from prefopt_core.labels.asked import Asked
from prefopt_core.scoring import ensemble, table
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.store.opening import Shards
from tasks.stage import stage


@stage("score", table="logps", version=2, by_shard=True)
def score_responses(
    asked: Asked[pl.DataFrame], policy: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Sum the log-probabilities of the selected responses under `policy`."""
    return table.score_candidates(asked, policy, config)


@stage("mean_logps", table="logps", version=1)
def mean_logps(logps: list[Shards]) -> list[pl.DataFrame]:
    """Log-probabilities of the same responses under several policies, as those of one judge."""
    return [ensemble.mean_logps(shard) for shard in zip(*logps, strict=True)]


@stage("score_preferences", table="preferences", version=2)
def score_preferences(
    preferences: list[pl.DataFrame], policy: Path, config: ScoringConfig
) -> pl.DataFrame:
    """Set ref_chosen_logps and ref_rejected_logps of pairs, under `policy` as reference model."""
    return table.score_preferences(preferences, policy, config)
