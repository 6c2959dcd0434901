"""HelpSteer3's preferences: the strengths that up to three people gave, and one for all of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from prefopt_core.exchange.cells import (
    Row,
    in_any_order,
    known_texts,
    messages_in,
    public,
    question_in,
    text_in,
)
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.exchange.helpsteer2 import lost_of_strengths, strengths_of, verdict_of
from prefopt_core.exchange.pairs import in_order_of, lost_of, orders_joined
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Compared, Verdict


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write a question a row, with what each person said to it.

    Yields:
        What the file cannot hold.
    """
    entries, joined = orders_joined(entries)
    questions: dict[Compared, list[Entry]] = defaultdict(list)
    for entry in entries:
        same = questions[known_texts(entry).compared]
        same.append(in_order_of(same[0], entry) if same else entry)  # people see either order
    rows = (strengths_of(same) for same in questions.values())
    write_records(path, [_row(same) for same in rows if same])
    yield from joined
    yield from lost_of([e for e in entries if not e.verdict or e.verdict.state != "tie"])
    yield from lost_of_strengths(entries)
    yield "Names of people, `domain` and `language` are not held."


def _row(same: Sequence[tuple[Entry, int]]) -> Row:
    question = known_texts(same[0][0])
    first, second = question.responses
    return {
        "domain": "",
        "language": "",
        "context": list(question.prompt),
        "response1": first.text,
        "response2": second.text,
        "overall_preference": round(fmean(strength for _, strength in same)),
        "individual_preference": [
            {
                "score": strength,
                "reasoning": entry.verdict.why if entry.verdict else "",
                "feedback1": "",
                "feedback2": "",
            }
            for entry, strength in same
        ],
    }


def read(path: Path) -> Iterator[Entry]:
    """Read what each person said, or, where nobody's is there, the overall strength.

    People have no names in it: they are 'person 1', … of their row, and need not be the same ones
    in another.

    Raises:
        DataError: The file cannot be read, or a row is malformed.
    """
    yield from each(records_in(path), _entries)


def _entries(row: Row, where: str) -> Iterator[Entry]:
    prompt = messages_in(row.get("context"), f"{where}: 'context'")
    texts = [text_in(row, name, where) for name in ("response1", "response2")]
    question = question_in(prompt, texts)
    in_any_order(question, where)  # refuses equal ones
    for verdict in _verdicts(row, where):
        yield public(question, verdict=verdict, where=where)


def _verdicts(row: Row, where: str) -> Iterator[Verdict]:
    people = row.get("individual_preference") or []
    for number, person in enumerate(people, 1):
        yield verdict_of(
            person.get("score"),
            where,
            "individual_preference",
            by=f"person {number}",
            why=text_in(person, "reasoning", where),
        )
    if not people:
        yield verdict_of(row.get("overall_preference"), where, "overall_preference")
