"""Training stages: preference pairs and a policy to the next policy, and the step beyond it."""

from pathlib import Path

import polars as pl

from prefopt_core.store.running import fresh_folder, workspace
from prefopt_core.training.momentum import accelerate
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.table import train_on
from tasks.stage import folder_stage


@folder_stage("train", version=4)
def train_policy(
    preferences: list[pl.DataFrame], policy: Path, config: TrainingConfig, seed: int
) -> Path:
    """Train `policy` on pairs, with itself as the reference; resumes from its last checkpoint."""
    return train_on(preferences, policy, fresh_folder("model"), workspace(), config, seed=seed)


@folder_stage("accelerate", version=1)
def accelerate_policy(trained: Path, before: Path, momentum: float) -> Path:
    """Go beyond a round's policy, by `momentum` times the way from the round before."""
    return accelerate(trained, before, fresh_folder("model"), momentum=momentum)
