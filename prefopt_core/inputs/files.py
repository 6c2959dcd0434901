"""Reading JSONL, CSV and Parquet row by row, so that an error can name file and row."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.errors import DataError
from prefopt_core.tables import Message

PROMPT_COLUMNS = ("prompt", "instruction")
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Row:
    """One row of a user's file.

    Attributes:
        where: File and row, as a person would look it up.
        values: Column → value; text stays text ("NA" is not a missing value).
    """

    where: str
    values: dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file by its ending: .jsonl, .csv or .parquet."""
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .jsonl, .csv or .parquet.")
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise DataError(
            f"{path} ends in {path.suffix!r}; prefopt reads {', '.join(readers)}. Convert it."
        )
    rows = list(readers[path.suffix](path))
    if not rows:
        raise DataError(f"{path} has no rows.")
    yield from rows


def _read_jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number}"
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where}: not JSON ({error}). Write one object a line.") from error
            if not isinstance(values, dict):
                raise DataError(f"{where}: a {type(values).__name__}, not an object with columns.")
            yield Row(where, values)


def _read_csv(path: Path) -> Iterator[Row]:
    try:
        # Every cell as text: a response "NA", "null" or "1.0" is that text, not a missing value.
        frame = pl.read_csv(path, infer_schema=False, encoding="utf8", null_values=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as CSV: {error}. It needs a header line, commas, and double "
            "quotes around cells that hold commas or line breaks."
        ) from error
    yield from _rows_of(frame, path)


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}. It may be cut off; write it again."
        ) from error
    yield from _rows_of(frame, path)


def _rows_of(frame: pl.DataFrame, path: Path) -> Iterator[Row]:
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{path}, row {number}", values)


def prompt_column(row: Row, column: str | None) -> str:
    """The name of the column with the prompt: the given one, `prompt` or `instruction`."""
    wanted = (column,) if column else PROMPT_COLUMNS
    for name in wanted:
        if name in row.values:
            return name
    raise DataError(
        f"{row.where}: no column {' or '.join(map(repr, wanted))} among "
        f"{', '.join(map(repr, row.values))}. Set `params.column` to the column with the prompt."
    )


def messages_of(row: Row, column: str) -> list[Message]:
    """The prompt of a row as messages; a plain text becomes one message of the user."""
    value = row.values[column]
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, Sequence) or not all(map(_is_message, value)) or not value:
        raise DataError(
            f"{row.where}: {column!r} is {str(value)[:60]!r}; expected a text or a list of "
            f"{{role: {' | '.join(_ROLES)}, content: text}}."
        )
    messages = [{"role": m["role"], "content": m["content"]} for m in value]
    if messages[-1]["role"] != "user":
        raise DataError(
            f"{row.where}: the last message is the {messages[-1]['role']}'s; a prompt ends with "
            "the user's."
        )
    if not messages[-1]["content"].strip():
        raise DataError(f"{row.where}: the prompt is empty. Remove the row or fill in the prompt.")
    return messages


def _is_message(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.get("role") in _ROLES
        and isinstance(value.get("content"), str)
    )
