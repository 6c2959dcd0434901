"""Cells of files of labels: prompts, questions, texts, numbers, times; checked as they are read."""

import json
import math
from collections.abc import Sequence
from typing import Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, candidate_id_of, prompt_id_of, quoted
from prefopt_core.inputs.messages import ROLES
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Shown

Row = dict[str, Any]
"""Column → value."""

_YEAR_2100 = 4_102_444_800


def prompt_to_text(prompt: Sequence[Message]) -> str:
    """A prompt as one text: its only message if that is the user's, else JSON.

    >>> prompt_to_text([{"role": "user", "content": "Hi"}])
    'Hi'
    """
    if len(prompt) == 1 and prompt[0]["role"] == "user" and not _is_list(prompt[0]["content"]):
        return prompt[0]["content"]
    return json.dumps(list(prompt), ensure_ascii=False)


def prompt_from_text(text: str, cell: str) -> list[Message]:
    """The prompt that `prompt_to_text` wrote.

    Raises:
        DataError: It is JSON, and no list of messages.
    """
    if not _is_list(text):
        return [{"role": "user", "content": text}]
    try:
        return messages_in(json.loads(text), cell)
    except (ValueError, RecursionError):
        return messages_in(text, cell)


def _is_list(text: str) -> bool:
    return text.lstrip().startswith("[{")


def messages_in(value: Any, cell: str) -> list[Message]:
    """A list of messages, checked.

    Raises:
        DataError: It is none.
    """
    if (
        isinstance(value, list)
        and value
        and all(
            isinstance(m, dict)
            and m.keys() == {"role", "content"}
            and m["role"] in ROLES
            and isinstance(m["content"], str)
            for m in value
        )
    ):
        return value
    raise DataError(
        f"{cell} is {quoted(value)}; expected a list of {{role, content}} as it was written."
    )


def question_in(prompt: Sequence[Message], responses: Sequence[str]) -> Question:
    """The question on these texts, whose ids are their digests."""
    prompt_id = prompt_id_of(prompt)
    shown = (Shown(candidate_id_of(prompt_id, text), text) for text in responses)
    return Question(prompt_id, prompt, tuple(shown))


def in_any_order(question: Question, where: str) -> tuple[Question, list[int]]:
    """The question in the order of its ids, and the places where its responses stood.

    Public files have the better one first, or do not say what was shown first.

    Raises:
        DataError: Two responses are the same text.
    """
    ids = question.key[1]
    if len(set(ids)) < len(ids):
        raise DataError(f"{where}: two of the responses are the same text. Remove the row.")
    order = sorted(range(len(ids)), key=ids.__getitem__)
    shown = tuple(question.responses[place] for place in order)
    return Question(question.prompt_id, question.prompt, shown), order


def text_in(row: Row, name: str, where: str) -> str:
    """A text of a row; "" where it has none.

    Raises:
        DataError: It is something else.
    """
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{where}: {name!r} is {quoted(value)}; expected a text.")
    return value


def number_in(row: Row, name: str, where: str) -> float | None:
    """A number of a row; None where it has none.

    Raises:
        DataError: It is something else.
    """
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {name!r} is {quoted(value)}; expected a number.")
    return number


def time_in(number: float | None, where: str) -> float | None:
    """A time in seconds since 1970.

    Raises:
        DataError: It is none of ours.
    """
    if number is None or 0 <= number < _YEAR_2100:
        return number
    raise DataError(f"{where}: {number:g} seconds since 1970 is no time at which labels are given.")


def public(question: Question, **more: Any) -> Entry:
    """The entry of a file that knows no ids."""
    return Entry(question.question_id, question, **more)


def known_texts(entry: Entry) -> Question:
    """The question of an entry to write, which has its texts."""
    if entry.question is None:
        raise DataError(f"The texts of the question {entry.question_id} are not kept.")
    return entry.question
