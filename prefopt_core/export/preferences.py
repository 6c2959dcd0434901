"""Export preference pairs in the columns of TRL, as Parquet or JSONL."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal

import polars as pl

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.files import write_whole
from prefopt_core.ground.ids import Message, last_text, pair_id_of
from prefopt_core.lint.endings import with_finished
from prefopt_core.models.responses import decoded, turn_token_ids
from prefopt_core.models.templates import turn_of
from prefopt_core.models.tokens import PLAIN_TEMPLATE, Tokens, load_tokenizer, template_digest

COLUMNS = (
    "prompt", "chosen", "rejected", "source", "annotator", "confidence", "margin", "round",
    "prompt_id", "chosen_id", "rejected_id", "pair_id", "chosen_finished", "rejected_finished",
)  # fmt: skip
"""Without token ids and reference log-probabilities: those belong to one model."""
LOOKED_AT = 1000
"""The most pairs whose texts are compared with the token ids that were trained."""
_NEWER = ("pair_id", "chosen_finished", "rejected_finished")
"""Those that earlier versions did not write."""
_IDS = ("prompt_id", "chosen_id", "rejected_id")
_CUT_OFF = (
    " A trainer ends those that were cut off as if they were complete: leave out rows whose "
    "`chosen_finished` or `rejected_finished` is false, or raise "
    "`generation.params.max_new_tokens` and run again."
)
_FORMS = ("parquet", "jsonl")


def export_preferences(
    preferences: pl.DataFrame,
    folder: Path,
    form: Literal["parquet", "jsonl"],
    *,
    as_text: bool = False,
    split: str = "train",
) -> Path:
    """Write `folder/SPLIT.<form>`, which `datasets.load_dataset(folder)` and DPOTrainer accept.

    Args:
        preferences: Table `preferences`.
        folder: Made if absent; an earlier export in it is replaced, whatever its form.
        form: Parquet or JSONL.
        as_text: Prompts and responses as plain texts (TRL's standard format) instead of messages.
        split: "train" or "test".

    Returns:
        The file, with `COLUMNS`.

    Raises:
        DataError: `as_text`, and a prompt has several messages; or the folder has a file of that
            name that was not exported.
    """
    require_ours(folder, split)
    preferences = as_exported(preferences)
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
    path, write = folder / f"{split}.{form}", rows.write_parquet
    write_whole(path, write if form == "parquet" else rows.write_ndjson)
    remove_split(folder, split, but=path)  # of two, `datasets` would read one
    return path


def remove_split(folder: Path, split: str, but: Path | None = None) -> None:
    """Delete what earlier exports left of a split, but for one file.

    Raises:
        DataError: A file of that name was not exported.
    """
    require_ours(folder, split)
    for form in _FORMS:
        if (file := folder / f"{split}.{form}") != but:
            file.unlink(missing_ok=True)


def as_exported(preferences: pl.DataFrame) -> pl.DataFrame:
    """The table with all `COLUMNS`: also the `pair_id` by which `prefopt trace` finds a row."""
    ids = preferences.select(_IDS).iter_rows()
    return with_finished(preferences).with_columns(
        pl.Series("pair_id", [pair_id_of(*row) for row in ids], pl.String)
    )


def pair_id_in(file: Path, number: int) -> str:
    """The id of the pair in a row of an exported file.

    Args:
        file: Parquet or JSONL.
        number: Of the row, the first is 1, as `prefopt lint` counts.

    Raises:
        DataError: The file cannot be read, is no export, or has no such row.
    """
    rows = _ids_in(file)
    if not 1 <= number <= rows.height:
        raise DataError(f"{file} has no row {number}: its {rows.height} rows count from 1.")
    return pair_id_of(*rows.row(number - 1))


def _ids_in(file: Path) -> pl.DataFrame:
    scan = pl.scan_ndjson if file.suffix == ".jsonl" else pl.scan_parquet
    try:
        return scan(file).select(_IDS).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{file} cannot be read as a file of `prefopt export`: {str(error).splitlines()[0]}"
        ) from error


def require_same(folder: Path, split: str, preferences: pl.DataFrame | None) -> None:
    """Refuse a folder with an export of other pairs; one of the same pairs is written anew.

    Args:
        folder: Where a split is to be written.
        split: "train" or "test".
        preferences: Its pairs; None: it will have none.

    Raises:
        DataError: Its pairs would be replaced.
    """
    for form in _FORMS:
        file = folder / f"{split}.{form}"
        if file.exists() and (
            preferences is None or not _ids_in(file).equals(preferences.select(_IDS))
        ):
            raise DataError(
                f"{file} has other pairs, of an earlier export. Add --overwrite to replace them, "
                "or name another folder."
            )


def require_ours(folder: Path, split: str) -> None:
    """Refuse a folder with files of a split that were not exported.

    Raises:
        DataError: It has one.
    """
    for form in _FORMS:
        _require_ours(folder / f"{split}.{form}")


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
    if not columns >= {*COLUMNS} - {*_NEWER}:
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


def otherwise_in_words(
    preferences: pl.DataFrame, models: Sequence[Path], *, as_text: bool = False
) -> Iterator[str]:
    """What `otherwise_written` counts among some of the pairs, in a sentence; none if nothing."""
    looked_at = preferences.gather_every(math.ceil(preferences.height / LOOKED_AT))
    if others := otherwise_written(looked_at, models, as_text=as_text):
        reasons = "; ".join(f"{count} {why}" for why, count in others.most_common())
        yield (
            f"Of {2 * looked_at.height} responses {others.total()} give other token ids than those "
            f"that were trained: {reasons}.{_CUT_OFF * ('cut off' in others)}"
        )


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
