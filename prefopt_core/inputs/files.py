"""Reading JSONL, JSON, CSV and Parquet row by row, with file and row for error messages."""

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from prefopt_core.ground.errors import DataError
from prefopt_core.inputs.formulas import unguarded
from prefopt_core.inputs.recognised import advice_on_ending, advice_on_folder, what_it_is

_INVISIBLE = "\ufeff\u200b"

csv.field_size_limit(sys.maxsize)  # a prompt may be a whole document


QUICK_BYTES = 10_000_000
"""Size of a file that is read in about a second."""


@dataclass(frozen=True)
class Row:
    """One row of a user's file.

    Attributes:
        where: File and row (or line), counted from 1, for error messages.
        values: Column → value; text stays text ("NA" is not a missing value).
    """

    where: str
    values: dict[str, Any]

    def cell(self, column: str) -> str:
        """File, row and column, for error messages."""
        return f"{self.where}: {column!r}"


_BROKEN = (
    *(pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(OSError, ValueError, OverflowError, MemoryError),
)
"""What reading a Parquet file raises that lies about itself; a panic is no `Exception`."""


def is_large(path: Path) -> bool:
    """Whether reading a file takes longer than one waits for a run to start."""
    return path.is_file() and path.stat().st_size > QUICK_BYTES


def read_rows(path: Path) -> list[Row]:
    """Read a file by its ending: .jsonl, .json, .csv or .parquet.

    What is not large is read once in a process, unless it changes: a config is looked at, said, and
    then run. The rows are not to be changed.

    Raises:
        DataError: There is no such file, or it is of another kind, or cannot be read, or has no
            rows, or its columns' names are no names.
    """
    _require_file(path)
    content = content_of(path)
    return _read_once(path, content) if content else _read(path)


def read_json(path: Path) -> Any:
    """What a JSON file holds, for files that are no array of rows.

    Raises:
        DataError: There is no such file, or it is none of JSON.
    """
    _require_file(path)
    return _json("".join(_lines_of(path, None)), str(path), "It may be cut off; write it again.")


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise DataError(f"{path} is a folder. {advice_on_folder(path)}.")
    if not path.is_file():
        raise DataError(
            f"There is no file {path}. Give the path of a .jsonl, .json, .csv or .parquet."
        )
    if not os.access(path, os.R_OK):
        raise DataError(f"{path} may not be read by this user. Change its permissions.")


def content_of(path: Path) -> bytes | None:
    """Digest of a file that is read once in a process; None of one that is not there, or large."""
    if not path.is_file() or is_large(path):
        return None
    return sha256(path.read_bytes()).digest()


@lru_cache(maxsize=4)
def _read_once(path: Path, content: bytes) -> list[Row]:
    return _read(path)


def _read(path: Path) -> list[Row]:
    if (ending := path.suffix.lower()) not in READERS:
        raise DataError(
            f"{path} ends in {path.suffix!r}; prefopt reads {', '.join(READERS)}. "
            f"{advice_on_ending(path)}."
        )
    rows = list(READERS[ending](path))
    if not rows:
        raise DataError(f"{path} has no rows.")
    for name in columns_of(rows):
        if name != name.strip().strip(_INVISIBLE):
            below = ", and those after commas in the rows below" if ending == ".csv" else ""
            raise DataError(
                f"{path}: the name of the column {name!r} has blanks around it. Remove them{below}."
            )
    return rows


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The names of all columns, in the order in which they first occur."""
    return list(dict.fromkeys(name for row in rows for name in row.values))


def _lines_of(path: Path, newline: str | None) -> Iterator[str]:
    _require_text(path)
    with path.open(encoding="utf-8-sig", newline=newline) as lines:  # StringIO: 4 bytes a character
        yield from lines


def _require_text(path: Path) -> None:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}. Give a path that can."
        ) from error
    if found := what_it_is(data[:4096]):
        what, remedy = found
        raise DataError(f"{path} is {what}; expected {path.suffix[1:].upper()} in UTF-8: {remedy}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path} is not UTF-8 text (line {line}: {error.reason}). Save it as UTF-8."
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(
            f"{path}, line {line}: a NUL character. Remove it, or write the file again."
        )


def _read_jsonl(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_lines_of(path, None), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        hint = ""
        if line.lstrip().startswith("[") or line.strip() == "{":
            hint = " `jq -c '.[]'` makes lines of an array, `jq -c .` of objects on several lines."
        values = _json(line, where, f"Write one object a line.{hint}")
        if not isinstance(values, dict):
            raise DataError(
                f"{where}: a {type(values).__name__}, not an object with columns.{hint}"
            )
        yield Row(where, values)


def _read_json(path: Path) -> Iterator[Row]:
    rows = read_json(path)
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: a {type(rows).__name__}, not an array of rows. If a field of it has them: "
            f"`jq .FIELD {path.name} > rows.json`; if it is one row: let it stand between [ and ]."
        )
    for number, values in enumerate(rows, 1):
        where = f"{path}, row {number}"
        if not isinstance(values, dict):
            raise DataError(f"{where}: a {type(values).__name__}, not an object with columns.")
        yield Row(where, values)


def _json(text: str, where: str, advice: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
        # half of a surrogate pair is JSON, but nothing after this could store it
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: half of a character ({error}). Remove it or complete the text."
        ) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error}). {advice}") from error
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object that the pairs make; Python's own reader keeps the last of two and says nothing.

    Raises:
        ValueError: Two have one name.
    """
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return made


def _read_csv(path: Path) -> Iterator[Row]:
    # Not by polars: every cell stays text ("NA", "null" or "1.0" is no missing value or number),
    # and errors can name the row.
    lines = csv.reader(_lines_of(path, ""), strict=True)
    try:
        header = [*map(unguarded, next(filter(None, lines), []))]
        _check_header(path, header)
        records = list(filter(None, lines))
    except csv.Error as error:
        raise DataError(
            f"{path}, line {lines.line_num}: not CSV ({error}). Put double quotes around cells "
            'that hold commas, quotes or line breaks, and double the quotes inside: "a ""b""".'
        ) from error
    for number, cells in enumerate(records, 1):
        where = f"{path}, row {number}"
        if len(cells) != len(header):
            raise DataError(
                f"{where} has {len(cells)} cells; the header has {len(header)}. Put double quotes "
                "around cells that hold commas or line breaks."
            )
        yield Row(where, dict(zip(header, map(unguarded, cells), strict=True)))


def _check_header(path: Path, header: list[str]) -> None:
    for sign, name in {";": "semicolons", "\t": "tabs", "|": "bars"}.items():
        if len(header) == 1 and sign in header[0]:
            raise DataError(
                f"{path}: its cells are separated by {name}: the header is {header[0]!r}. Save it "
                "with commas."
            )
    if repeated := [name for name, count in Counter(header).items() if count > 1]:
        raise DataError(f"{path}: {repeated[0]!r} names several columns. Rename all but one.")


def _read_parquet(path: Path) -> Iterator[Row]:
    with path.open("rb") as beginning:
        found = what_it_is(beginning.read(512), but="Parquet")
    if found:
        what, remedy = found
        raise DataError(f"{path} is {what}; expected Parquet: {remedy}.")
    try:
        # By pyarrow: where a file lies about itself, polars may panic, and then wait for ever.
        with pq.ParquetFile(path.absolute()) as file:
            frame = pl.DataFrame(pl.from_arrow(file.read()))
        rows = [*frame.iter_rows(named=True)]
    except _BROKEN as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {error}. It may be cut off; write it again."
        ) from error
    for number, values in enumerate(rows, 1):
        yield Row(f"{path}, row {number}", values)


READERS = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
"""Ending of a file → what reads its rows."""
