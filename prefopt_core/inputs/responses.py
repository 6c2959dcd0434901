"""Which columns of a file hold responses: declared, or certain by their names, or refused."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.inputs.files import Row, columns_of
from prefopt_core.inputs.known import known_as
from prefopt_core.inputs.messages import conversation, is_filled
from prefopt_core.inputs.structures import parsed, structure_of

ONE, LIST = "response", "responses"
NESTED = {"completions": "response", "answers": "answer"}
"""A list of objects → the name of the text in each: UltraFeedback's, Nectar's."""
_WORDS = "responses?|outputs?|completions?|generations?|samples?|candidates?"
_NUMBERED = re.compile(rf"(?P<stem>(?:(?:{_WORDS})[ _.-]?)?)(?P<number>\d+|(?<=[_ .-])[a-zA-Z])")


_NEVER = ("", "prompt_id", "response_id", "candidate_id", "model")
"""Columns of indices and ids, and of who wrote a response: not worth asking about."""


def response_columns(
    rows: Sequence[Row], declared: Sequence[str] | None, taken: Sequence[str]
) -> list[str]:
    """The columns with responses.

    Args:
        rows: The file.
        declared: Names as the user gave them, in which `*` stands for anything; None: none.
        taken: Columns that belong to the prompt.

    Raises:
        DataError: A declared column is not there, or nobody can be certain which they are.
    """
    columns = [name for name in columns_of(rows) if name not in taken]
    if declared is not None:
        return list(dict.fromkeys(n for d in declared for n in _declared(d, columns, rows)))
    families = [[name] for name in (ONE, LIST) if name in columns]
    families += _numbered(columns, rows)
    if not families:
        families = [[name] for name in NESTED if _is_nested(name, columns, rows)]
    if len(families) == 1:
        return families[0]
    raise DataError(_doubt(rows, columns, families))


def _declared(name: str, columns: list[str], rows: Sequence[Row]) -> list[str]:
    if name in columns:
        return [name]
    pattern = ".*".join(map(re.escape, name.split("*")))
    if "*" in name and (found := [c for c in columns if re.fullmatch(pattern, c, re.DOTALL)]):
        return found
    raise DataError(
        f"{rows[0].where}: no column {name!r} with responses among "
        f"{', '.join(map(repr, columns))}. Set `responses`, beside `path`, to those that hold them."
    )


def _numbered(columns: list[str], rows: Sequence[Row]) -> list[list[str]]:
    """Columns of texts that only a number tells apart: 0, 1, …; response_1, response_2, …."""
    families: dict[str, list[str]] = {}
    for name in columns:
        if match := _NUMBERED.fullmatch(name.lower()):
            families.setdefault(match["stem"], []).append(name)
    if sorted(map(int, bare := families.pop("", []))) not in (
        [*range(len(bare))],
        [*range(1, len(bare) + 1)],
    ):
        bare = []  # years, for instance
    found = [bare, *families.values()]
    enough = 1 if ONE in columns or LIST in columns else 2  # `response_2` beside `response`
    return [
        names
        for names in found
        if len(names) >= enough and all(_may_be_responses(name, rows) for name in names)
    ]


def _may_be_responses(name: str, rows: Sequence[Row]) -> bool:
    """Whether a column has texts or messages, and not only numbers written as texts."""
    values = [value for row in rows if is_filled(value := row.values.get(name))]
    return all(isinstance(value, str | list | dict) for value in values) and not (
        values and all(map(_is_number, values))
    )


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_nested(name: str, columns: list[str], rows: Sequence[Row]) -> bool:
    return name in columns and all(
        isinstance(value := row.values.get(name), list)
        and all(isinstance(v, dict) and NESTED[name] in v for v in value)
        for row in rows
    )


def _doubt(rows: Sequence[Row], columns: list[str], families: list[list[str]]) -> str:
    names = [name for family in families for name in family]
    if not names:
        texts = [n for n in columns if n not in _NEVER and _may_be_responses(n, rows)]
        names = [n for n in texts if any(is_filled(row.values.get(n)) for row in rows)]
    listed = yaml.safe_dump(names, default_flow_style=True, allow_unicode=True, width=10**6).strip()
    what = f"{rows[0].where.rpartition(', ')[0]}: "
    if names:
        others = [name for name in columns if name not in names]
        rest = f" (not {', '.join(map(repr, others[:8]))})" if others else ""
        return (
            f"{what}which columns are responses? {', '.join(map(repr, names[:8]))} could "
            f"be{rest}, but nothing says so. Name those that are, beside `path`: `responses: "
            f"{listed}`; or write a column `response`, a row a response."
        )
    return (
        f"{what}no columns of texts among {', '.join(map(repr, columns)) or 'none'} but the "
        "prompt's. Write a column 'response', a row a response, or 'responses', a list a row; or "
        f"name those that hold them, `responses: […]` beside `path`. {known_as(rows[0].values)}"
    ).rstrip()


def check_texts(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Refuse columns of structures that a program wrote as text; messages are read.

    Raises:
        DataError: Every value of a column is the text of a list, of bytes, ….
    """
    for name in names:
        filled = [row for row in rows if is_filled(row.values.get(name))]
        kind = structure_of(row.values[name] for row in filled)
        for row in filled if kind else []:
            if conversation(row.values[name], row.cell(name)) is None:
                raise DataError(
                    f"{row.cell(name)} is {quoted(row.values[name])}: every value of this column "
                    f"is of {kind} that a program wrote as text. Write the texts themselves, or "
                    "use .jsonl or .parquet, which hold lists."
                )


def values_in(row: Row, name: str) -> list[tuple[str, Any]]:
    """(who wrote it, response) of one column of a row; one that is a list has several.

    Raises:
        DataError: `responses` is no list.
    """
    value = row.values.get(name)
    if name == LIST and isinstance(value, str):
        value = parsed(value)
    if name == LIST and not isinstance(value, list):
        raise DataError(
            f"{row.where}: 'responses' is {quoted(row.values.get(name))}, not a list of "
            "texts. Write a list, or one row a response with a column `response`."
        )
    if name == ONE or not isinstance(value, list) or _is_answer(value):
        return [(name, value)]
    if name in NESTED:
        return [_nested(v, name, row) for v in value]
    return [(name, v) for v in value]


def _is_answer(value: list[Any]) -> bool:
    """Whether a list is one response as messages, not several responses."""
    return bool(value) and isinstance(value[0], dict) and value[0].keys() >= {"role", "content"}


def _nested(value: Any, name: str, row: Row) -> tuple[str, Any]:
    if isinstance(value, dict) and NESTED[name] in value:
        return str(value.get("model") or name), value[NESTED[name]]
    return name, value


def response_text(value: Any, writer: str, row: Row) -> str:
    """The text of a response: a text, or the only message, the assistant's.

    Raises:
        DataError: It is neither.
    """
    if value is None:
        return ""
    messages = conversation(value, row.cell(writer)) if isinstance(value, str | list | dict) else []
    if messages is None:
        return str(value)
    if len(messages) == 1 and messages[0]["role"] == "assistant":
        return messages[0]["content"]
    raise DataError(
        f"{row.where}: the response {repr(value)[:80]} of {writer!r} is not a text. Make it one, "
        "or a list with one message of the assistant."
    )
