"""HelpSteer2's preferences: two responses and a strength from -3 (the first) to 3 (the second).

A prompt of several turns is one text, which begins with what the user says first and marks the
turns that follow by `<extra_id_1>Assistant` and `<extra_id_1>User`.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from prefopt_core.exchange.cells import (
    Row,
    in_any_order,
    known_texts,
    number_in,
    public,
    question_in,
    text_in,
)
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.exchange.pairs import lost_of, orders_joined
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict

_TURN = re.compile(r"\n<extra_id_1>(Assistant|User)\n")
_SPEAKERS = {"Assistant": "assistant", "User": "user"}
_BETTER = 2
"""The strength of “better”, between “slightly” and “much better”."""


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a comparison a row, ties too.

    Yields:
        What the file cannot hold.
    """
    entries, joined = orders_joined(entries)
    held = strengths_of(entries)
    rows = [_row(entry, strength) for entry, strength in held]
    write_records(path, [row for row in rows if row])
    yield from joined
    yield from lost_of([entry for entry in entries if not _is_tie(entry)])
    yield from lost_of_strengths(entries)
    if others := sum(row is None for row in rows):
        yield (
            f"{others} comparisons are left out: their prompts have a system message, or the marks "
            "of turns within a text."
        )
    yield "Who gave a verdict and why are not held."


def _row(entry: Entry, strength: int) -> Row | None:
    question = known_texts(entry)
    first, second = question.responses
    text, *turns = (m["content"] for m in question.prompt)
    for who, said in zip(cycle(_SPEAKERS), turns, strict=False):
        text += f"\n<extra_id_1>{who}\n{said}"
    if _messages(text) != list(question.prompt):
        return None
    return {
        "prompt": text,
        "response_1": first.text,
        "response_2": second.text,
        "preference_strength": strength,
    }


def _messages(text: str) -> list[Message]:
    """The turns of a prompt."""
    first, *turns = _TURN.split(text)
    said = [("User", first), *zip(turns[::2], turns[1::2], strict=True)]
    return [{"role": _SPEAKERS[who], "content": text} for who, text in said]


def strengths_of(entries: Sequence[Entry]) -> list[tuple[Entry, int]]:
    """The comparisons of two responses, with the strength from -3 to 3 of each."""
    pairs = [entry for entry in entries if len(known_texts(entry).responses) == 2]
    return [
        (entry, strength)
        for entry in pairs
        if entry.verdict and (strength := strength_of(entry.verdict)) is not None
    ]


def lost_of_strengths(entries: Sequence[Entry]) -> Iterator[str]:
    """What is lost where a verdict becomes a strength, a sentence each."""
    if others := sum(len(known_texts(entry).responses) > 2 for entry in entries):
        yield f"{others} rankings are left out: a row has two responses."
    yield "A verdict without scores has the strength 2, “better”; probabilities are not held."


def _is_tie(entry: Entry) -> bool:
    return entry.verdict is not None and entry.verdict.state == "tie"


def strength_of(verdict: Verdict) -> int | None:
    """The strength of a comparison, negative if the first is better; None if it says nothing.

    >>> strength_of(Verdict.preferred(1.0)), strength_of(Verdict.scored(4, 5)), strength_of(
    ...     Verdict("both_bad"))
    (-2, 1, None)
    """
    p = verdict.probability()
    if p is None:
        return None
    if p == 0.5:
        return 0
    if verdict.scores is None:
        return -_BETTER if p > 0.5 else _BETTER
    gap = verdict.scores[1] - verdict.scores[0]
    size = min(3, max(1, round(abs(gap))))
    return size if gap > 0 else -size


def verdict_of(strength: float | None, where: str, name: str, **more: Any) -> Verdict:
    """The verdict that a strength says: scores that differ by it.

    Raises:
        DataError: It is no whole number from -3 to 3.
    """
    if strength is None or strength not in range(-3, 4):
        raise DataError(f"{where}: {name!r} is {strength}; expected a whole number from -3 to 3.")
    if strength == 0:
        return Verdict("tie", **more)
    return Verdict.scored(float(max(-strength, 0)), float(max(strength, 0)), **more)


def read(path: Path) -> Iterator[Entry]:
    """Read comparisons in the order in which their responses stand.

    Raises:
        DataError: The file cannot be read, or a row is malformed.
    """
    yield from each(records_in(path), lambda row, where: [_entry(row, where)])


def _entry(row: Row, where: str) -> Entry:
    prompt = _messages(text_in(row, "prompt", where))
    if prompt[-1]["role"] != "user" or not last_text(prompt).strip():
        raise DataError(f"{where}: 'prompt' does not end with what a user says. Remove the row.")
    texts = [text_in(row, name, where) for name in ("response_1", "response_2")]
    question = question_in(prompt, texts)
    in_any_order(question, where)  # refuses equal ones
    name = "preference_strength"
    verdict = verdict_of(number_in(row, name, where), where, name)
    return public(question, verdict=verdict, where=where)
