"""Start policy stage: import or train the model to align."""

from pathlib import Path

from prefopt_core.models.settings import PolicyConfig
from prefopt_core.store.running import fresh_folder, workspace
from tasks.stage import folder_stage


@folder_stage("load_policy", version=1)
def load_policy(config: PolicyConfig, seed: int) -> Path:
    """Link the files of a model folder or hub id, or train a bench world's tiny model."""
    output = fresh_folder("model")
    config.member()(output, workspace(), seed)
    return output
