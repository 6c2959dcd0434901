"""TRL's preferences with an explicit prompt: `prompt`, `chosen`, `rejected`, each as messages.

Also read here are the other forms of such pairs (`inputs.pairs`): an implicit prompt, HH-RLHF.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from prefopt_core.exchange.cells import Row, in_any_order, number_in, public, question_in, text_in
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.exchange.pairs import Better, lost_of_pairs, pairs_of
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message
from prefopt_core.inputs.files import Row as FileRow
from prefopt_core.inputs.pairs import pair_of
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Question, Verdict


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a pair a row, with the annotator, the confidence and the reason in further columns.

    Yields:
        What the file cannot hold.
    """
    write_records(path, [_row(pair) for pair in pairs_of(entries)])
    yield from lost_of_pairs(entries)
    yield "Scores and the order in which responses were shown are not held."


def _row(pair: Better) -> Row:
    return {
        "prompt": list(pair.prompt),
        "chosen": [said(pair.chosen.text)],
        "rejected": [said(pair.rejected.text)],
        "confidence": pair.confidence,
        "by": pair.verdict.by,
        "why": pair.verdict.why,
    }


def said(text: str) -> Message:
    """The assistant's message."""
    return {"role": "assistant", "content": text}


def read(path: Path) -> Iterator[Entry]:
    """Read pairs; the chosen one is better with certainty, or with the `confidence` of its row.

    Raises:
        DataError: The file cannot be read, or a row is no pair.
    """
    yield from each(records_in(path), lambda row, where: [_entry(row, where)])


def _entry(row: Row, where: str) -> Entry:
    confidence = number_in(row, "confidence", where)
    if confidence is not None and not 0.5 < confidence <= 1:
        raise DataError(
            f"{where}: 'confidence' is {confidence:g}; expected more than ½, at most 1."
        )
    question, first = pair_in_any_order(row, where)
    p = 1.0 if confidence is None else confidence
    verdict = Verdict.preferred(
        p if first else 1 - p, by=text_in(row, "by", where), why=text_in(row, "why", where)
    )
    return public(question, verdict=verdict, where=where)


def pair_in_any_order(row: Row, where: str) -> tuple[Question, bool]:
    """The question that a pair answers, and whether the chosen response is its first.

    Raises:
        DataError: It is no pair.
    """
    pair = pair_of(FileRow(where, row), None)
    question, order = in_any_order(question_in(pair.prompt, [pair.chosen, pair.rejected]), where)
    return question, order[0] == 0
