"""Reading JSONL, CSV and Parquet row by row, with file and row for error messages."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text, quoted

PROMPT_COLUMNS = ("prompt", "instruction")
_ROLES = ("system", "user", "assistant")

csv.field_size_limit(sys.maxsize)  # a prompt may be a whole document


@dataclass(frozen=True)
class Row:
    """One row of a user's file.

    Attributes:
        where: File and row (or line), counted from 1, for error messages.
        values: Column → value; text stays text ("NA" is not a missing value).
    """

    where: str
    values: dict[str, Any]


def read_rows(path: Path) -> Iterator[Row]:
    """Read a file by its ending: .jsonl, .csv or .parquet.

    Raises:
        DataError: There is no such file, or it cannot be read, or it has no rows.
    """
    if not path.is_file():
        raise DataError(f"There is no file {path}. Give the path of a .jsonl, .csv or .parquet.")
    readers = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    if (ending := path.suffix.lower()) not in readers:
        raise DataError(
            f"{path} ends in {path.suffix!r}; prefopt reads {', '.join(readers)}. Convert it."
        )
    try:
        rows = list(readers[ending](path))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error}). Save it as UTF-8.") from error
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
                # half of a surrogate pair is JSON, but nothing after this could store it
                json.dumps(values, ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{where}: half of a character ({error}). Remove it or complete the text."
                ) from error
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}: not JSON ({error}). Write one object a line.") from error
            if not isinstance(values, dict):
                raise DataError(f"{where}: a {type(values).__name__}, not an object with columns.")
            yield Row(where, values)


def _read_csv(path: Path) -> Iterator[Row]:
    # Not by polars: every cell stays text ("NA", "null" or "1.0" is no missing value or number),
    # and errors can name the row.
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header, *records = [cells for cells in lines if cells] or [[]]
        except csv.Error as error:
            raise DataError(
                f"{path}, line {lines.line_num}: not CSV ({error}). Put double quotes around cells "
                'that hold commas, quotes or line breaks, and double the quotes inside: "a ""b""".'
            ) from error
    if repeated := [name for i, name in enumerate(header) if name in header[:i]]:
        raise DataError(f"{path}: {repeated[0]!r} names several columns. Rename all but one.")
    for number, cells in enumerate(records, 1):
        where = f"{path}, row {number}"
        if len(cells) != len(header):
            raise DataError(
                f"{where} has {len(cells)} cells; the header has {len(header)}. Put double quotes "
                "around cells that hold commas or line breaks."
            )
        yield Row(where, dict(zip(header, cells, strict=True)))


def _read_parquet(path: Path) -> Iterator[Row]:
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}. It may be cut off; write it again."
        ) from error
    for number, values in enumerate(frame.iter_rows(named=True), 1):
        yield Row(f"{path}, row {number}", values)


def prompt_column(row: Row, column: str | None) -> str:
    """The name of the column with the prompt: `column` if given, else `prompt` or `instruction`.

    Raises:
        DataError: The row has no such column.
    """
    wanted = (column,) if column else PROMPT_COLUMNS
    for name in wanted:
        if name in row.values:
            return name
    raise DataError(
        f"{row.where}: no column {' or '.join(map(repr, wanted))} among "
        f"{', '.join(map(repr, row.values))}. Set `column`, beside `path`, to the "
        "one with the prompt."
    )


def messages_of(row: Row, column: str) -> list[Message]:
    """The prompt of a row as messages; a plain text becomes one user message.

    Raises:
        DataError: It is neither a text nor a list of messages, is empty, or does not end with a
            user message.
    """
    value = row.values[column]
    if value is None or isinstance(value, str):
        value = [{"role": "user", "content": value or ""}]
    if not isinstance(value, Sequence) or not all(map(is_message, value)) or not value:
        raise DataError(
            f"{row.where}: {column!r} is {quoted(value)}; expected a text or a list of "
            f"{{role: {' | '.join(_ROLES)}, content: text}}."
        )
    messages = [{"role": m["role"], "content": m["content"]} for m in value]
    if messages[-1]["role"] != "user":
        raise DataError(
            f"{row.where}: the last message is the {messages[-1]['role']}'s; a prompt ends with "
            "the user's."
        )
    if not last_text(messages).strip():
        raise DataError(f"{row.where}: the prompt is empty. Remove the row or fill in the prompt.")
    return messages


def is_message(value: Any) -> bool:
    """Whether a value is `{role: …, content: text}`."""
    return (
        isinstance(value, dict)
        and value.get("role") in _ROLES
        and isinstance(value.get("content"), str)
    )
