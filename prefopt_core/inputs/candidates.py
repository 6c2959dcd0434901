"""Reading candidate responses from files: one per row, a list per row, or one per column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import prompt_id_of
from prefopt_core.inputs.files import Row, read_rows
from prefopt_core.inputs.layouts import layout_of
from prefopt_core.inputs.prompt_columns import prompt_of
from prefopt_core.inputs.responses import LIST, ONE, response_text, values_in


@dataclass(frozen=True)
class Given:
    """One response from a file.

    Attributes:
        where: File and row, for error messages.
        text: The response.
        writer: The column `model` of its row, or the name of the column it stood in.
    """

    where: str
    text: str
    writer: str


def read_candidates(
    path: Path, column: str | None, empty: str, responses: Sequence[str] | None = None
) -> dict[str, list[Given]]:
    """Read responses from a file in any of these layouts, told apart by the columns.

    * `responses` names the columns, or
    * `response`: one row a response; `model` may say who wrote it, or
    * `responses`: a list of texts in every row, or
    * columns that only a number tells apart: `0`, `1`, …; `response_1`, `response_2`, ….

    Args:
        path: .jsonl, .json, .csv or .parquet.
        column: The prompt's column; by default `prompt` or `instruction`.
        empty: What to do with a response without text: "error", "drop" or "keep".
        responses: The columns with responses, in which `*` stands for anything.

    Returns:
        prompt_id → responses, in the order of the file.

    Raises:
        DataError: The file cannot be read, has no column with prompts, it is not certain which
            columns are responses, or a response is not a text, or empty.
    """
    rows = read_rows(path)
    columns = layout_of(rows, column, responses).responses
    given: dict[str, list[Given]] = {}
    for row in rows:
        own = given.setdefault(prompt_id_of(prompt_of(row, column)), [])
        for writer, value in _responses_of(row, columns):
            text = response_text(value, writer, row)
            if not text.strip() and empty == "error":
                raise DataError(
                    f"{row.where}: the response of {writer!r} is empty. Fill it in, or set "
                    "`generation.params.empty` to 'drop' (leave it out) or 'keep'."
                )
            if text.strip() or empty == "keep":
                own.append(Given(row.where, text, writer))
    return given


def _responses_of(row: Row, columns: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """(who wrote it, response) of every response of a row."""
    model = row.values.get("model") if len(columns) == 1 and LIST not in columns else None
    for name in columns:
        for writer, value in values_in(row, name):
            usual = "file" if writer in (ONE, LIST) else writer
            yield str(model or usual), value
