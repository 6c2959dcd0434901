"""Export preference pairs in the columns of TRL, as Parquet or JSONL."""

from pathlib import Path
from typing import Literal

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.files import write_whole

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
        preferences: Table `preferences`.
        folder: Made if absent; an earlier export in it is replaced, whatever its form.
        form: Parquet or JSONL.
        as_text: Prompts and responses as plain texts (TRL's standard format) instead of messages.

    Returns:
        The file, with `COLUMNS`.

    Raises:
        DataError: `as_text`, and a prompt has several messages.
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
    path, write = folder / f"train.{form}", rows.write_parquet
    write_whole(path, write if form == "parquet" else rows.write_ndjson)
    other = "jsonl" if form == "parquet" else "parquet"
    (folder / f"train.{other}").unlink(missing_ok=True)  # of two, `datasets` would read one
    return path
