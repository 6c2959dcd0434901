"""One preference of a user's file, in each of the forms that are in use.

* `prompt`, and `chosen` and `rejected` as texts or as the assistant's message;
* `prompt`, and conversations that repeat it (UltraFeedback binarized);
* conversations alone, which share all but the last message (TRL's implicit prompt);
* the same as one text of turns, "Human: … Assistant: …" (HH-RLHF).
"""

from typing import NamedTuple

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text, quoted
from prefopt_core.inputs.files import Row
from prefopt_core.inputs.known import known_as
from prefopt_core.inputs.messages import conversation, dialogue, is_filled
from prefopt_core.inputs.prompt_columns import complete_prompt, has_prompt_column, prompt_of

SIDES = ("chosen", "rejected")


class Pair(NamedTuple):
    """A prompt, the better response to it and the other."""

    prompt: list[Message]
    chosen: str
    rejected: str


def pair_of(row: Row, column: str | None) -> Pair:
    """The prompt of a row and its two responses.

    Raises:
        DataError: One of them is missing or malformed, or the conversations differ before their
            last message, or begin with another prompt than that of the row.
    """
    if missing := [side for side in SIDES if side not in row.values]:
        raise DataError(
            f"{row.where}: no column {' and '.join(map(repr, missing))} among "
            f"{', '.join(map(repr, row.values))}; a preference needs prompt, chosen and rejected. "
            f"{known_as(row.values) or 'Write two responses a row, the better one as `chosen`.'}"
        )
    chosen, rejected = (_side(row, side) for side in SIDES)
    before = chosen[:-1]
    if before != rejected[:-1]:
        raise DataError(
            f"{row.where}: the conversations differ before their last message, in message "
            f"{_first_difference(chosen, rejected)}; a pair is two answers to one prompt. Cut both "
            "after the first answers that differ, or remove the row."
        )
    if has_prompt_column(row, column) or not before:
        prompt = prompt_of(row, column)
        if before and not _agree(before, prompt):
            raise DataError(
                f"{row.where}: the conversations begin with {quoted(last_text(before))}, which is "
                f"not the prompt {quoted(last_text(prompt))} with what belongs to it. Make them "
                "agree, or leave out one of the two."
            )
        prompt = before or prompt
    else:
        prompt = complete_prompt(before, row)
    return Pair(prompt, last_text(chosen), last_text(rejected))


def _agree(before: list[Message], prompt: list[Message]) -> bool:
    """Whether conversations begin with the prompt, which may lack their system message."""
    said, asked = (
        [(m["role"], m["content"].strip()) for m in messages if m["content"].strip()]
        for messages in (before, prompt)
    )
    return said == asked or (said[0][0] == "system" != asked[0][0] and said[1:] == asked)


def is_implicit(row: Row, column: str | None) -> bool:
    """Whether a row has no prompt but that with which its chosen and rejected begin."""
    return not has_prompt_column(row, column) and row.values.keys() >= set(SIDES)


def implicit_prompt(row: Row) -> list[Message]:
    """The prompt of a row that has only conversations or dialogues.

    Raises:
        DataError: As `pair_of`.
    """
    return pair_of(row, None).prompt


def _side(row: Row, side: str) -> list[Message]:
    value, cell = row.values[side], row.cell(side)
    if not is_filled(value):
        raise DataError(f"{cell} is {quoted(value)}; {_EXPECTED}. Fill it in or remove the row.")
    messages = conversation(value, cell)
    if messages is None:
        messages = dialogue(value, cell) or [{"role": "assistant", "content": value}]
    if messages[-1]["role"] != "assistant" or not last_text(messages).strip():
        raise DataError(
            f"{cell} is {quoted(value)}; {_EXPECTED}, and its last message is "
            f"{quoted(last_text(messages))} of the {messages[-1]['role']}. Fill it in or remove "
            "the row."
        )
    return messages


_EXPECTED = (
    "expected a text or a list with one message of the assistant, or a conversation that ends "
    "with one"
)


def _first_difference(chosen: list[Message], rejected: list[Message]) -> int:
    pairs = enumerate(zip(chosen, rejected, strict=False), 1)
    return next((i for i, (one, other) in pairs if one != other), 1)
