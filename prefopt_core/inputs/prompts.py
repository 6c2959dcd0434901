"""Prompts from a file, from a hub data set, or from the embedded help desk."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import PositiveInt

from prefopt_core.errors import DataError
from prefopt_core.inputs.files import Row, messages_of, prompt_column, read_rows
from prefopt_core.registry import InputPath
from prefopt_core.tables import TABLES, Message, prompt_id_of


def from_file(
    seed: int,
    *,
    path: InputPath,
    column: str | None = None,
    stratum: str | None = None,
    limit: PositiveInt | None = None,
) -> pl.DataFrame:
    """Read a .jsonl, .csv or .parquet with a column `prompt` or `instruction`."""
    return _prompts(read_rows(Path(path)), column, stratum, limit)


def from_hub(
    seed: int,
    *,
    dataset: InputPath,
    split: str = "train",
    config: str | None = None,
    revision: str | None = None,
    column: str | None = None,
    stratum: str | None = None,
    limit: PositiveInt | None = None,
) -> pl.DataFrame:
    """Read a data set of the Hugging Face hub, or a folder that `datasets` can load."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        rows: Iterable[dict[str, Any]] = load_dataset(
            dataset, config, split=split, revision=revision
        )
    except (OSError, ValueError, DatasetsError) as error:
        raise DataError(
            f"Cannot load split {split!r} of the data set {dataset!r}: {error.__cause__ or error} "
            "Check the id and the network, or download it and use `prompts.source: file`."
        ) from error
    named = (Row(f"{dataset}[{split}], row {i}", row) for i, row in enumerate(rows, 1))
    return _prompts(named, column, stratum, limit)


def from_helpdesk(seed: int, *, count: PositiveInt) -> pl.DataFrame:
    """Write prompts of the embedded help-desk world."""
    from prefopt_core.helpdesk.prompts import prompts

    messages = [[{"role": "user", "content": text}] for text in prompts(count, seed)]
    return _table((prompt_id_of(m), m) for m in messages)


def _prompts(
    rows: Iterable[Row], column: str | None, stratum: str | None, limit: int | None
) -> pl.DataFrame:
    strata: list[str] = []
    seen: dict[str, str] = {}
    kinds: dict[type, str] = {}
    prompts = []
    for row in rows:
        name = prompt_column(row, column)
        messages = messages_of(row, name)
        kinds.setdefault(type(row.values[name]), row.where)
        if len(kinds) > 1:
            raise DataError(
                f"Prompts are of several kinds: {' and '.join(_kinds(kinds))}. Make them all "
                "texts, or all lists of messages."
            )
        prompt_id = prompt_id_of(messages)
        if prompt_id not in seen:
            prompts.append((prompt_id, messages))
            strata += [_stratum(row, stratum)] if stratum else []
        elif "response" not in row.values:  # one row a response: there a prompt stands repeatedly
            raise DataError(
                f"{row.where} repeats the prompt of {seen[prompt_id]}: "
                f"{messages[-1]['content'][:60]!r}. Remove one of them."
            )
        seen.setdefault(prompt_id, row.where)
        if limit is not None and len(prompts) > limit:
            prompts.pop()
            break
    table = _table(prompts)
    return table.with_columns(stratum=pl.Series(strata[: len(prompts)])) if stratum else table


def _stratum(row: Row, column: str) -> str:
    value = row.values.get(column)
    if value is None or value == "":
        raise DataError(
            f"{row.where}: no stratum in {column!r}; the columns are "
            f"{', '.join(map(repr, row.values))}. Give every row one, for example 'other'."
        )
    return str(value)


def _kinds(kinds: dict[type, str]) -> list[str]:
    return [
        f"{'a text' if kind is str else 'a list of messages'} ({where})"
        for kind, where in kinds.items()
    ]


def _table(prompts: Iterable[tuple[str, list[Message]]]) -> pl.DataFrame:
    return pl.DataFrame(list(prompts), schema=TABLES["prompts"].columns, orient="row")
