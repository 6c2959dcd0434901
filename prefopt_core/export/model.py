"""Export a policy as a self-contained model folder: adapters merged in float32, links resolved."""

import shutil
from collections.abc import Callable
from pathlib import Path

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import TEMPORARY, explained, publish
from prefopt_core.models.adapters import ADAPTER, ADAPTER_WEIGHTS, adapter_in, weights_of
from prefopt_core.models.loading import adapted, load_weights
from prefopt_core.store.folders import ADAPTER_BASE


def export_model(
    model: Path, folder: Path, finish: Callable[[Path], None] = lambda made: None
) -> Path:
    """Write a self-contained model folder: LoRA adapters are merged, links become files.

    Args:
        model: Folder of the policy, in the store.
        folder: New or empty; written completely or not at all.
        finish: Is called with the folder before it gets its name, to add to it.

    Returns:
        `folder`, as an absolute path.

    Raises:
        DataError: `folder` is a file or not empty.
    """
    folder = folder.resolve()  # "." has no name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already. Name a new folder for the model.")
    unfinished = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    own: tuple[str, ...] = ()
    with explained(folder):
        unfinished.mkdir(parents=True)
        if adapter_in(model):
            import torch
            from transformers import AutoModelForCausalLM

            from prefopt_core.models.saving import merged, save_weights

            base = load_weights(AutoModelForCausalLM, weights_of(model), device_map="cpu")
            save_weights(merged(adapted(base, model)), model, unfinished, torch.float32)
            own = (ADAPTER, ADAPTER_WEIGHTS, ADAPTER_BASE, "config.json", "generation_config.json")
        shutil.copytree(model, unfinished, ignore=shutil.ignore_patterns(*own), dirs_exist_ok=True)
        finish(unfinished)
        publish(unfinished, folder)
    return folder
