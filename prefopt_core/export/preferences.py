"""Export preference pairs in the columns of TRL, as Parquet or JSONL."""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import polars as pl

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.ids import Message, last_text, pair_id_of
from prefopt_core.models.responses import decoded, turn_token_ids
from prefopt_core.models.templates import turn_of
from prefopt_core.models.tokens import PLAIN_TEMPLATE, Tokens, load_tokenizer, template_digest

COLUMNS = (
    "prompt", "chosen", "rejected", "source", "annotator", "confidence", "margin", "round",
    "prompt_id", "chosen_id", "rejected_id", "pair_id",
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
        DataError: `as_text`, and a prompt has several messages; or the folder has a `train` that
            was not exported.
    """
    for earlier in ("parquet", "jsonl"):
        _require_ours(folder / f"train.{earlier}")
    preferences = with_pair_ids(preferences)
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


def with_pair_ids(preferences: pl.DataFrame) -> pl.DataFrame:
    """The table with a column `pair_id`, by which `prefopt trace` finds a row."""
    ids = preferences.select("prompt_id", "chosen_id", "rejected_id").iter_rows()
    return preferences.with_columns(
        pl.Series("pair_id", [pair_id_of(*row) for row in ids], pl.String)
    )


def pair_id_in(file: Path, number: int) -> str:
    """The id of the pair in a row of an exported file.

    Args:
        file: Parquet or JSONL.
        number: Of the row, the first is 0.

    Raises:
        DataError: The file cannot be read, is no export, or has no such row.
    """
    scan = pl.scan_ndjson if file.suffix == ".jsonl" else pl.scan_parquet
    try:
        rows = scan(file).select("prompt_id", "chosen_id", "rejected_id").collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{file} cannot be read as a file of `prefopt export`: {str(error).splitlines()[0]}"
        ) from error
    if number >= rows.height:
        raise DataError(f"{file} has no row {number}: its {rows.height} rows count from 0.")
    return pair_id_of(*rows.row(number))


def _require_ours(file: Path) -> None:
    if not file.exists():
        return
    try:
        if file.suffix == ".parquet":
            columns = {*pl.scan_parquet(file, glob=False).collect_schema()}
        else:
            with file.open(encoding="utf-8") as lines:
                columns = {*json.loads(next(lines, "{}"))}
    except (OSError, ValueError, TypeError, pl.exceptions.PolarsError):
        columns = set()
    if not columns >= {*COLUMNS} - {"pair_id"}:  # which earlier versions did not write
        raise DataError(f"{file} is there already, and no export. Name another folder.")


def otherwise_written(
    preferences: pl.DataFrame, models: Sequence[Path], *, as_text: bool = False
) -> Counter[str]:
    """Count responses whose texts, as exported, give other token ids than the policy learned from.

    Args:
        preferences: Table `preferences`.
        models: Model folders, one of which has the chat template of the token ids.
        as_text: As for `export_preferences`.

    Returns:
        Why → how many responses; empty if all give the same ones, if there are no token ids to
        compare with, or no such model.
    """
    counts: Counter[str] = Counter()
    if "template" not in preferences.columns:
        return counts
    with_ids = preferences.drop_nulls("template")
    for (template,), pairs in with_ids.group_by("template"):
        model = next((m for m in models if _template_of(m) == template), None)
        if model is None:
            continue
        for row in pairs.iter_rows(named=True):
            for side in ("chosen", "rejected"):
                ids = row["prompt_token_ids"] + row[f"{side}_token_ids"]
                why = _difference(model, row["prompt"], row[side], ids, as_text=as_text)
                counts[why] += 1
    del counts[""]
    return counts


def _template_of(model: Path) -> str:
    try:
        return template_digest(load_tokenizer(model))
    except ConfigError:
        return ""


def _difference(
    model: Path, prompt: list[Message], response: list[Message], trained: Tokens, *, as_text: bool
) -> str:
    """Why the texts give other token ids than those of prompt and response; "" if they do not."""
    tokenizer = load_tokenizer(model)
    if as_text and tokenizer.get_chat_template() != PLAIN_TEMPLATE:
        return "without the marks of the chat template"
    try:
        written = [*chain(*turn_token_ids(tokenizer, prompt, last_text(response)))]
    except DataError:
        return "not written so by the chat template"
    if written == list(trained):
        return ""
    ends = {tokenizer.eos_token, *turn_of(tokenizer).ends}
    if tokenizer.convert_ids_to_tokens(trained[-1]) not in ends:
        return "cut off"
    same = decoded(tokenizer, written) == decoded(tokenizer, trained)
    return "the same text in other tokens" if same else "with other text (reasoning, white space)"
