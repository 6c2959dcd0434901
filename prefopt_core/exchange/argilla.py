"""Argilla 2 records as JSON: what `dataset.records.to_json` writes and `from_json` reads.

Settings of the dataset: fields `prompt`, `response_1`, …; a ranking question `ranking` with the
names of the responses as values; a label question `verdict` (tie, both bad, skip), and a text
question `why`, both not required.
"""

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prefopt_core.exchange.cells import (
    Row,
    known_texts,
    prompt_from_text,
    prompt_to_text,
    question_in,
    text_in,
)
from prefopt_core.exchange.files import each, records_in, write_records
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.words import NoVerdictError, ranking_of, verdict_in, word_of

_PEOPLE = uuid.UUID("6f0c8b1e-3a0d-5c55-9d4e-6a1f1d7f6c11")
"""Names of people become users' ids of Argilla within this namespace."""
_LABELS = ("tie", "both bad", "skip")


def write(entries: Sequence[Entry], path: Path) -> Iterator[str]:
    """Write records; the verdicts on one question are its responses.

    Yields:
        What the file cannot hold.
    """
    compared = [entry for entry in entries if len(known_texts(entry).responses) > 1]
    held = [entry for entry in compared if not entry.verdict or entry.verdict.state != "invalid"]
    records: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in held:
        records[entry.question_id, entry.annotator, entry.guidelines].append(entry)
    write_records(path, [_record(same) for same in records.values()])
    if others := len(entries) - len(compared):
        yield f"{others} questions are left out: they show one response, which cannot be ranked."
    if others := len(compared) - len(held):
        yield f"{others} invalid verdicts are left out."
    if any(entry.verdict and word_of(entry.verdict)[0] in "p[" for entry in held):
        yield "Probabilities and scores are not held: a verdict is the order of the responses."


def _record(same: Sequence[Entry]) -> Row:
    entry, question = same[0], known_texts(same[0])
    fields = {"prompt": prompt_to_text(question.prompt)}
    fields |= {f"response_{i}": shown.text for i, shown in enumerate(question.responses, 1)}
    responses: dict[str, list[Row]] = defaultdict(list)
    people: dict[str, str] = {}
    for verdict in (one.verdict for one in same if one.verdict):
        user = str(uuid.uuid5(_PEOPLE, verdict.by))
        people[user] = verdict.by
        for name, value in _values(verdict).items():
            responses[name].append({"value": value, "user_id": user})
    return {
        "id": f"q{len(question.responses)}-{entry.question_id}",
        "fields": fields,
        "metadata": {
            "annotator": entry.annotator,
            "guidelines": entry.guidelines,
            "people": json.dumps(people, ensure_ascii=False),
        },
        "suggestions": {},
        "responses": responses,
        "vectors": {},
    }


def _values(verdict: Verdict) -> dict[str, Any]:
    values: dict[str, Any] = {"why": verdict.why} if verdict.why else {}
    if verdict.state != "given":
        return {"verdict": word_of(verdict)} | values
    p = verdict.preference
    scores = verdict.scores or ((1.0, 0.0) if p is not None and p > 0.5 else (0.0, 1.0))
    ranking = ranking_of(scores)
    if len(ranking) == 1:
        return {"verdict": "tie"} | values
    ranks = [
        {"value": f"response_{place + 1}", "rank": rank}
        for rank, equal in enumerate(ranking, 1)
        for place in equal
    ]
    return {"ranking": ranks} | values


def read(path: Path) -> Iterator[Entry]:
    """Read records with the responses of users; a ranking may have equal ranks.

    Raises:
        DataError: It is no such file, or a record is malformed.
    """
    yield from each(records_in(path), _entries)


def _entries(row: Row, where: str) -> Iterator[Entry]:
    fields, given, metadata = (row.get(part) for part in ("fields", "responses", "metadata"))
    size, dash, question_id = str(row.get("id", "")).partition("-")
    if not (isinstance(fields, dict) and isinstance(given, dict) and isinstance(metadata, dict)):
        raise DataError(f"{where} is no record of Argilla: it has no fields, responses, metadata.")
    if not dash or not re.fullmatch(r"q\d{1,3}", size):
        raise DataError(f"{where}: 'id' is {quoted(row.get('id'))}, which no question has.")
    prompt = prompt_from_text(text_in(fields, "prompt", where), f"{where}: 'prompt'")
    texts = [text_in(fields, f"response_{i}", where) for i in range(1, int(size[1:]) + 1)]
    question = question_in(prompt, texts)
    for verdict in _verdicts(given, _people(metadata), len(texts), where) or [None]:
        yield Entry(
            question_id,
            question,
            verdict,
            text_in(metadata, "annotator", where),
            text_in(metadata, "guidelines", where),
            where=where,
        )


def _people(metadata: Row) -> Mapping[str, str]:
    try:
        people = json.loads(metadata.get("people") or "{}")
    except (ValueError, TypeError, RecursionError):
        return {}
    return people if isinstance(people, dict) else {}


def _verdicts(given: Row, people: Mapping[str, str], size: int, where: str) -> list[Verdict | None]:
    of_users: dict[str, Row] = defaultdict(dict)
    for name, responses in given.items():
        for response in responses:
            of_users[str(response.get("user_id"))][name] = response.get("value")
    return [_verdict(said, people.get(user, user), size, where) for user, said in of_users.items()]


def _verdict(said: Row, by: str, size: int, where: str) -> Verdict | None:
    label, ranking = said.get("verdict"), said.get("ranking")
    if label is not None and ranking is not None:
        raise DataError(
            f"{where}: {by!r} gave both a ranking and the verdict {quoted(label)}. Keep one of "
            "them, in Argilla, and export again."
        )
    try:
        if label is not None:
            if label not in _LABELS:
                raise NoVerdictError
            found = verdict_in(label, size)
        elif ranking is not None:
            found = verdict_in(_word(ranking, size), size)
        else:
            return None
    except NoVerdictError:
        raise DataError(
            f"{where}: {by!r} gave {quoted(ranking or label)}, which does not rank the {size} "
            "responses."
        ) from None
    return Verdict(found.state, found.scores, found.preference, by, str(said.get("why") or ""))


def _word(ranking: Any, size: int) -> str:
    """A ranking as a word; its values come with ranks, or as names with the best first.

    Raises:
        NoVerdictError: It is neither.
    """
    try:
        pairs = [
            (value["rank"] if isinstance(value, dict) else place, value)
            for place, value in enumerate(ranking, 1)
        ]
        equal: dict[int, list[str]] = defaultdict(list)
        for rank, value in pairs:
            name = value["value"] if isinstance(value, dict) else value
            equal[int(rank)].append(name.removeprefix("response_"))
    except (TypeError, KeyError, ValueError, OverflowError, AttributeError):
        raise NoVerdictError from None
    word = ">".join("=".join(equal[rank]) for rank in sorted(equal))
    # Of two responses that is what a comparison says.
    return {"1>2": "1", "2>1": "2"}.get(word, word) if size == 2 else word
