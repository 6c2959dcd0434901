"""Nectar: `answers` to a prompt, each with its rank, 1 the best."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prefopt_core.exchange.cells import Row, in_any_order, known_texts, public, question_in, text_in
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.exchange.hh_rlhf import as_dialogue
from prefopt_core.exchange.pairs import lost_of, orders_joined
from prefopt_core.exchange.trl import said
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.inputs.messages import dialogue
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.words import ranking_of

_END = "\n\nAssistant:"
_FILLER = "."
"""What stands in for the answer, without which a dialogue is none."""


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a ranking a row; a comparison is a ranking of two.

    Yields:
        What the file cannot hold.
    """
    entries, joined = orders_joined(entries)
    rankings = [e for e in entries if e.verdict and e.verdict.state == "given"]
    rankings = [e for e in rankings if len(known_texts(e).responses) > 1]
    rows = [_row(entry) for entry in rankings]
    write_records(path, [row for row in rows if row])
    yield from [*joined, *lost_of(entries)]
    if others := sum(row is None for row in rows):
        yield f"{others} rankings are left out: no dialogue can hold their prompt."
    yield "Models, who gave a verdict, why, how sure and scores are not held."


def _row(entry: Entry) -> Row | None:
    question, verdict = known_texts(entry), entry.verdict
    prompt = as_dialogue([*question.prompt, said(_FILLER)])
    if prompt is None or verdict is None:
        return None
    scores = verdict.scores or (verdict.preference or 0.0, 1 - (verdict.preference or 0.0))
    ranks = {at: rank for rank, equal in enumerate(ranking_of(scores), 1) for at in equal}
    answers = [
        {"answer": shown.text, "model": "", "rank": float(ranks[at])}
        for at, shown in enumerate(question.responses)
    ]
    return {
        "prompt": prompt.removesuffix(_FILLER),
        "answers": sorted(answers, key=lambda answer: answer["rank"]),
        "turns": sum(m["role"] == "user" for m in question.prompt),
        "num_responses": len(answers),
        "source": "prefopt",
    }


def read(path: Path) -> Iterator[Entry]:
    """Read rankings; equal ranks are ties.

    Raises:
        DataError: The file cannot be read, or a row has no prompt, or no two answers with ranks.
    """
    yield from each(records_in(path), lambda row, where: [_entry(row, where)])


def _entry(row: Row, where: str) -> Entry:
    text = text_in(row, "prompt", where).rstrip()
    before = dialogue(f"{text.removesuffix(_END)}{_END} {_FILLER}", where)
    if not before:
        raise DataError(
            f"{where}: 'prompt' is {quoted(text)}; expected a dialogue that begins with 'Human:'."
        )
    answers = row.get("answers")
    if not isinstance(answers, list) or len(answers) < 2 or not all(map(_is_ranked, answers)):
        raise DataError(
            f"{where}: 'answers' is {quoted(answers)}; expected two or more {{answer, rank}}."
        )
    asked = question_in(before[:-1], [answer["answer"] for answer in answers])
    question, order = in_any_order(asked, where)
    verdict = Verdict.ranked([answers[place]["rank"] for place in order])
    return public(question, verdict=verdict, where=where)


def _is_ranked(answer: Any) -> bool:
    return (
        isinstance(answer, dict)
        and isinstance(answer.get("answer"), str)
        and isinstance(answer.get("rank"), int | float)
    )
