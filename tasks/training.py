"""Training stage: preference pairs and a policy to the next policy."""

from pathlib import Path

import polars as pl

from prefopt_core.store.running import fresh_folder, workspace
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.table import train_on
from tasks.stage import folder_stage


@folder_stage("train", version=4)
def train_policy(
    preferences: list[pl.DataFrame], policy: Path, config: TrainingConfig, seed: int
) -> Path:
    """Train `policy` on pairs, with itself as the reference; resumes from its last checkpoint."""
    return train_on(preferences, policy, fresh_folder("model"), workspace(), config, seed=seed)
