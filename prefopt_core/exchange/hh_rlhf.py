"""HH-RLHF: `chosen` and `rejected` as whole dialogues, "Human: … Assistant: …"."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prefopt_core.exchange.cells import Row
from prefopt_core.exchange.files import write_records
from prefopt_core.exchange.pairs import Better, lost_of_pairs, pairs_of
from prefopt_core.exchange.trl import said
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message
from prefopt_core.inputs.messages import dialogue
from prefopt_core.labels.kept import Entry

_SPEAKERS = {"user": "Human", "assistant": "Assistant"}


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a pair a row.

    Yields:
        What the file cannot hold.
    """
    rows = [_row(pair) for pair in pairs_of(entries)]
    write_records(path, [row for row in rows if row])
    yield from lost_of_pairs(entries)
    if others := sum(row is None for row in rows):
        yield (
            f"{others} pairs are left out: they have a system message, an empty turn, blanks "
            "around a text, or the marks of a dialogue within one."
        )
    yield "Who gave a verdict, why, how sure, scores and the order shown are not held."


def _row(pair: Better) -> Row | None:
    sides = {
        "chosen": [*pair.prompt, said(pair.chosen.text)],
        "rejected": [*pair.prompt, said(pair.rejected.text)],
    }
    texts = {side: as_dialogue(messages) for side, messages in sides.items()}
    return None if None in texts.values() else texts


def as_dialogue(messages: Sequence[Message]) -> str | None:
    """A conversation as one text; None if it could not be read back."""
    if not {m["role"] for m in messages} <= _SPEAKERS.keys():
        return None
    text = "".join(f"\n\n{_SPEAKERS[m['role']]}: {m['content']}" for m in messages)
    try:
        return text if dialogue(text, "") == list(messages) else None
    except DataError:
        return None
