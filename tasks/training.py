"""Training stage: the next policy."""

from pathlib import Path

from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.stage import fresh_folder, workspace
from prefopt_core.store.store import Store
from prefopt_core.training.settings import TrainingConfig
from prefopt_core.training.table import train_on
from tasks.stage import model_stage


@model_stage("train", version=2)
def train_policy(
    preferences: list[Artifact], policy: Model, config: TrainingConfig, seed: int
) -> Path:
    """Train `policy` on pairs, with itself as the reference; resumes from its last checkpoint."""
    store = Store.open()
    tables = [store.read(table) for table in preferences]
    output = fresh_folder("model")
    train_on(tables, store.open_model(policy), output, workspace(), config, seed=seed)
    return output
