"""For use elsewhere: preferences in the columns of TRL, and models with whole weights."""

import shutil
from pathlib import Path
from typing import Literal

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import TEMPORARY, explained, publish, temporary
from prefopt_core.models.loading import adapted, load_weights
from prefopt_core.store.folders import ADAPTER, ADAPTER_WEIGHTS, BASE, adapter_in, weights_of

COLUMNS = (
    "prompt", "chosen", "rejected", "source", "annotator", "confidence", "margin", "round",
    "prompt_id", "chosen_id", "rejected_id",
)  # fmt: skip
"""Without token ids and reference log-probabilities: those belong to one model."""


def export_preferences(
    preferences: pl.DataFrame,
    folder: Path,
    form: Literal["parquet", "jsonl"],
    *,
    as_text: bool = False,
) -> Path:
    """Write `folder/train.<form>`, which `datasets.load_dataset(folder)` and DPOTrainer accept.

    Args:
        preferences: The `preferences` table.
        folder: Made if absent; an earlier export in it is replaced, whatever its form.
        form: Parquet or JSONL.
        as_text: Prompts and responses as plain texts (TRL's standard format) instead of messages.
    """
    rows = preferences.select(COLUMNS)
    if as_text:
        if preferences["prompt"].list.len().max() != 1:
            raise DataError(
                "Some prompts have several messages and cannot be one text. Export messages "
                "(leave out --text)."
            )
        rows = preferences.select(
            *(
                pl.col(side).list.first().struct.field("content").alias(side)
                for side in ("prompt", "chosen", "rejected")
            ),
            *COLUMNS[3:],
        )
    with explained(folder), temporary(folder) as path:
        rows.write_parquet(path) if form == "parquet" else rows.write_ndjson(path)
        publish(path, folder / f"train.{form}")
        other = "jsonl" if form == "parquet" else "parquet"
        (folder / f"train.{other}").unlink(missing_ok=True)  # `datasets` reads one of two
    return folder / f"train.{form}"


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
        own = (ADAPTER, ADAPTER_WEIGHTS, BASE)
        shutil.copytree(model, unfinished, ignore=shutil.ignore_patterns(*own), dirs_exist_ok=True)
        publish(unfinished, folder)
    return folder
