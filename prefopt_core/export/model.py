"""Export a policy as a self-contained model folder: adapters merged in float32, links resolved."""

import shutil
from collections.abc import Callable
from pathlib import Path

from prefopt_core.export.cards import has_our_card
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import TEMPORARY, explained, publish
from prefopt_core.models.adapters import ADAPTER, ADAPTER_WEIGHTS, adapter_in, weights_of
from prefopt_core.models.loading import adapted, load_weights
from prefopt_core.store.folders import ADAPTER_BASE
from prefopt_core.training.log import FLAGGED, STEPS

_BY_PRODUCTS = (STEPS, FLAGGED)
"""Of training: they tell of its prompts, and stay in the store."""


def export_model(
    model: Path,
    folder: Path,
    finish: Callable[[Path], None] = lambda made: None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a self-contained model folder: LoRA adapters are merged, links become files.

    Args:
        model: Folder of the policy, in the store.
        folder: New or empty; written completely or not at all.
        finish: Is called with the folder before it gets its name, to add to it.
        overwrite: Whether `folder` may be an earlier export, all files of which are replaced.

    Returns:
        `folder`, as an absolute path.

    Raises:
        DataError: `folder` is a file, or not empty, or has what an export does not replace.
    """
    folder = folder.resolve()  # "." has no name
    ours = folder.is_dir() and has_our_card(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not ours:
            raise DataError(f"{folder} is there already, and no export. Name a new folder.")
        if not overwrite:
            raise DataError(
                f"{folder} has an earlier export. Add --overwrite to replace it, or name a new "
                "folder."
            )
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
        shutil.copytree(
            model, unfinished, ignore=shutil.ignore_patterns(*own, *_BY_PRODUCTS),
            copy_function=shutil.copyfile, dirs_exist_ok=True,
        )  # fmt: skip
        finish(unfinished)
        _as_readable_as_others(unfinished)
        if ours:
            _take_away(folder, unfinished)
        publish(unfinished, folder)
    return folder


def _as_readable_as_others(folder: Path) -> None:
    """Give weights, which safetensors writes for their owner alone, the mode of new files."""
    mode = (folder / "config.json").stat().st_mode
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode)


def _take_away(folder: Path, new: Path) -> None:
    """Delete an earlier export if a new one replaces all of it.

    Raises:
        DataError: It does not; nothing is deleted but the new one.
    """
    names = {*_BY_PRODUCTS, *(path.name for path in new.iterdir())}
    if others := sorted(path.name for path in folder.iterdir() if path.name not in names):
        shutil.rmtree(new)
        raise DataError(
            f"{folder / others[0]} is no part of the new export, so nothing is replaced. Move it "
            "away, or name another folder."
        )
    shutil.rmtree(folder)
