"""A policy for use elsewhere: a model folder that needs no other."""

import shutil
from pathlib import Path

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import TEMPORARY, explained, publish
from prefopt_core.models.adapters import ADAPTER, ADAPTER_WEIGHTS, adapter_in, weights_of
from prefopt_core.models.loading import adapted, load_weights
from prefopt_core.store.folders import ADAPTER_BASE


def export_model(model: Path, folder: Path) -> Path:
    """Write a model folder that needs no other: adapters are merged, links become files.

    Args:
        model: Folder of the policy, in the store.
        folder: New or empty; there whole or not at all.
    """
    folder = folder.resolve()  # "." has no name
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} is there already. Name a new folder for the model.")
    unfinished = folder.with_name(f"{TEMPORARY}{folder.name}")
    shutil.rmtree(unfinished, ignore_errors=True)
    with explained(folder):
        unfinished.mkdir(parents=True)
        if adapter_in(model):
            from transformers import AutoModelForCausalLM

            base = load_weights(AutoModelForCausalLM, weights_of(model), device_map="cpu")
            adapted(base, model).merge_and_unload().to(base.dtype).save_pretrained(unfinished)
        # Behind the weights, so that config.json is that of the store and not what was loaded.
        own = (ADAPTER, ADAPTER_WEIGHTS, ADAPTER_BASE)
        shutil.copytree(model, unfinished, ignore=shutil.ignore_patterns(*own), dirs_exist_ok=True)
        publish(unfinished, folder)
    return folder
