"""Files of labels: which format one is, JSON in and out, prompts and ids as they stand in them."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from prefopt_core.exchange.cells import Row
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.files import write_whole
from prefopt_core.inputs.files import read_json, read_rows
from prefopt_core.labels.kept import Entry

_SHOWN = 10
"""So many problems are told."""
_ROWS = 3
"""So many rows with the same problem are named."""
_BY_ENDING = {".csv": "csv", ".html": "html"}
_BY_COLUMNS: tuple[tuple[set[str], str], ...] = (
    ({"prefopt", "verdicts"}, "html"),
    ({"data"}, "label-studio"),
    ({"fields", "responses"}, "argilla"),
    ({"question_id", "verdict"}, "csv"),
    ({"context", "response1", "response2", "overall_preference"}, "helpsteer3"),
    ({"prompt", "response_1", "response_2", "preference_strength"}, "helpsteer2"),
    ({"prompt", "answers"}, "nectar"),
    ({"chosen", "rejected", "score_chosen", "score_rejected"}, "ultrafeedback"),
    ({"chosen", "rejected"}, "trl"),
)
"""(what its first row has, the format): the first that fits."""


def format_to_write(path: Path, named: str | None) -> str:
    """The format of a file to be written: as named, else by the ending.

    Raises:
        ConfigError: The ending says nothing, or something else.
    """
    ending = path.suffix.lower()
    found = named or _BY_ENDING.get(ending)
    if found in _BY_ENDING.values() and _BY_ENDING.get(ending) != found:
        raise ConfigError(f"{path} must end in .{found} in the format {found}. Rename it.")
    if found is None:
        raise ConfigError(
            f"{path} does not say by its ending what it is to be: .csv and .html do. Name the "
            "format with --format."
        )
    return found


def format_of(path: Path) -> str:
    """The format of a file with verdicts, by what stands in it.

    Raises:
        DataError: It cannot be read, or is none that is known.
    """
    if path.suffix.lower() == ".csv":
        return "csv"
    if path.suffix.lower() == ".html":
        raise DataError(
            f"{path} is the page with the questions. The verdicts are in the .json that its button "
            "“Save verdicts” writes: import that."
        )
    whole = read_json(path) if path.suffix.lower() == ".json" else None
    there = set(whole if isinstance(whole, dict) else read_rows(path)[0].values)
    for names, format in _BY_COLUMNS:
        if names <= there:
            return format
    columns = ", ".join(map(repr, sorted(there))) or "no columns"
    raise DataError(
        f"{path} is in no format of labels that is known: its first row has {columns}. If it is "
        "one all the same, name it with --format."
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all, in UTF-8, its line breaks as they are."""
    write_whole(path, lambda unfinished: unfinished.write_bytes(text.encode()))


def write_records(path: Path, rows: Sequence[Row]) -> None:
    """Write rows for people and `datasets`, by the ending: .jsonl, .json (a list) or .parquet.

    Raises:
        ConfigError: It ends in something else.
        DataError: There are none.
    """
    if not rows:
        raise DataError(
            f"Nothing of this can stand in {path} in its format, and it was not written. A .csv "
            "holds every verdict; what other formats hold: docs/guides/exchange-labels.md."
        )
    match path.suffix.lower():
        case ".jsonl":
            write_text(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
        case ".json":
            write_text(path, json.dumps(list(rows), ensure_ascii=False, indent=1))
        case ".parquet":
            frame = pl.DataFrame(rows, infer_schema_length=None)
            write_whole(path, frame.write_parquet)
        case _:
            raise ConfigError(f"{path} must end in .jsonl, .json or .parquet in this format.")


def records_in(path: Path) -> list[tuple[str, Row]]:
    """(file and row, its columns), see `read_rows`."""
    return [(row.where, row.values) for row in read_rows(path)]


def each(
    rows: Iterable[tuple[str, Row]], make: Callable[[Row, str], Iterable[Entry]]
) -> Iterator[Entry]:
    """The entries of all rows that are well-formed, then an error if some are not.

    Args:
        rows: (file and row, its columns).
        make: The entries of one row, by its columns and its place.

    Raises:
        RowsError: Some rows are malformed.
    """
    problems: list[Problem] = []
    for where, row in rows:
        try:
            entries = list(make(row, where))
        except DataError as error:
            problems.append((where, str(error).removeprefix(where)))
        except (AttributeError, TypeError, LookupError, ValueError) as error:
            # Other tools' files nest deeply, and any part may be of another kind than it should.
            said = f": not as its format has it ({error}). Export it from its tool again."
            problems.append((where, said))
        else:
            yield from entries
    if problems:
        raise RowsError(problems)


Problem = tuple[str, str]
"""File and row; what is wrong, as it follows these."""


class RowsError(DataError):
    """What is wrong with rows of a file: a line for each of the first causes, and how many more.

    Attributes:
        problems: All of them, in the order of the file.
    """

    def __init__(self, problems: Sequence[Problem], end: str = "") -> None:
        self.problems = tuple(problems)
        causes: dict[str, list[str]] = {}
        for where, cause in problems:
            causes.setdefault(cause, []).append(where)
        lines = [f"{_together(rows)}{cause}" for cause, rows in list(causes.items())[:_SHOWN]]
        if more := sum(len(rows) for rows in list(causes.values())[_SHOWN:]):
            lines.append(f"{more} more rows are refused.")
        super().__init__("\n".join([*lines, *([end] if end else [])]))


def _together(rows: Sequence[str]) -> str:
    """Rows of one file, each once, the first of many.

    >>> _together(["a.csv, row 1", "a.csv, row 4", "a.csv, row 5", "a.csv, row 9"])
    'a.csv, row 1, 4, 5 and 1 more'
    """
    first, *others = dict.fromkeys(rows)
    numbers = [first, *(row.rpartition(" ")[2] for row in others[: _ROWS - 1])]
    more = len(others) - len(numbers) + 1
    return ", ".join(numbers) + (f" and {more} more" if more else "")
