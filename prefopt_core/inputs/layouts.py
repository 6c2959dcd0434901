"""What a file's columns are read as, decided once for the whole file and told to the user."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.inputs.files import Row, columns_of, read_rows
from prefopt_core.inputs.pairs import SIDES, implicit_prompt, is_implicit, pair_of
from prefopt_core.inputs.prompt_columns import columns_of_prompt, prompt_column, prompt_of
from prefopt_core.inputs.responses import (
    LIST,
    check_texts,
    response_columns,
    response_text,
    values_in,
)

LOOKED_AT = 1000
"""Rows that are read to describe a file: its columns, by all; what stands in them, by these."""


@dataclass(frozen=True)
class Layout:
    """The columns of a file of candidates by what they are read as.

    Attributes:
        prompt: The prompt's, and what belongs to it.
        responses: Those with responses.
    """

    prompt: tuple[str, ...]
    responses: tuple[str, ...]


def layout_of(
    rows: Sequence[Row], column: str | None, responses: Sequence[str] | None = None
) -> Layout:
    """Tell the columns of a file of candidates apart.

    Raises:
        DataError: There is no prompt's column, or nobody can be certain which hold responses, or
            a column holds structures as text.
    """
    prompt = columns_of_prompt(columns_of(rows), prompt_column(rows[0], column), column)
    found = response_columns(rows, responses, prompt)
    check_texts(rows, [prompt[0], *(name for name in found if name != LIST)])
    return Layout(tuple(prompt), tuple(found))


def describe_candidates(
    path: Path, column: str | None = None, responses: Sequence[str] | None = None
) -> str:
    """What the columns of a file of candidates are read as, in one line.

    Raises:
        DataError: The file cannot be read, `layout_of` cannot tell, or one of the first rows is
            malformed.
    """
    rows = read_rows(path)
    layout = layout_of(rows, column, responses)
    for row in rows[:LOOKED_AT]:
        prompt_of(row, column)
        for name in layout.responses:
            for writer, value in values_in(row, name):
                response_text(value, writer, row)
    return _in_words(path, rows, {"prompt": layout.prompt, "responses": layout.responses})


def describe_prompts(path: Path, column: str | None = None, stratum: str | None = None) -> str:
    """What the columns of a file of prompts are read as, in one line.

    Raises:
        DataError: The file cannot be read, has no column with prompts, or one of the first is
            malformed.
    """
    rows = read_rows(path)
    for row in rows[:LOOKED_AT]:
        implicit_prompt(row) if is_implicit(row, column) else prompt_of(row, column)
    read = {"prompt": _prompt_columns(rows, column), "stratum": [stratum] if stratum else []}
    return _in_words(path, rows, read)


def describe_pairs(path: Path, column: str | None = None) -> str:
    """What the columns of a file of preferences are read as, in one line.

    Raises:
        DataError: The file cannot be read, or one of its first rows is no pair.
    """
    rows = read_rows(path)
    for row in rows[:LOOKED_AT]:
        pair_of(row, column)
    return _in_words(path, rows, {"prompt": _prompt_columns(rows, column), "pair": SIDES})


def _prompt_columns(rows: Sequence[Row], column: str | None) -> Sequence[str]:
    if is_implicit(rows[0], column):
        return SIDES
    return columns_of_prompt(columns_of(rows), prompt_column(rows[0], column), column)


def _in_words(path: Path, rows: Sequence[Row], read: dict[str, Sequence[str]]) -> str:
    names = {name for some in read.values() for name in some}
    words = read | {"not read": [name for name in columns_of(rows) if name not in names]}
    return f"{path}: " + "; ".join(
        f"{what}: {_listed(some)}" for what, some in words.items() if some
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" … {names[-1]!r} ({len(names)})" if names[8:] else ""
    return ", ".join(map(repr, names[:7] if more else names)) + more
