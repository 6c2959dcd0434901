"""The start policy, as a model in the store."""

from pathlib import Path

from prefopt_core.models.settings import PolicyConfig
from prefopt_core.store.stage import fresh_folder, workspace
from tasks.stage import folder_stage


@folder_stage("load_policy", version=1)
def load_policy(config: PolicyConfig, seed: int) -> Path:
    """Link the user's model, or train the help desk's tiny one."""
    output = fresh_folder("model")
    config.member()(output, workspace(), seed)
    return output
