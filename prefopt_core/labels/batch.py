"""Batches: what one budget has left for people to answer, and how far they are.

Every question of a batch is answered by as many different people as it was published for.
"""

import json
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import Any

from prefopt_core.ground.ids import digest_of
from prefopt_core.labels.questions import Compared, compared
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, texts_of, unnamed
from prefopt_core.store.artifacts import canonical_json

_VERDICTS = """
FROM questions q {join} verdicts v
  ON v.annotator IN (SELECT value FROM json_each(:texts)) AND v.guidelines = q.guidelines
 AND v.prompt_id = q.prompt_id AND v.compared = q.compared
WHERE (q.annotator, q.guidelines, q.account) = (:annotator, :guidelines, :account)
"""
_QUESTIONS = f"""
SELECT q.prompt_id, q.responses, q.wanted, q.asked_at, q.price, COUNT(DISTINCT v.said_by),
       TOTAL(v.said_by = :person)
{_VERDICTS.format(join="LEFT JOIN")}
GROUP BY q.prompt_id, q.compared ORDER BY q.asked_at, q.position
"""
_GIVEN = f"""
SELECT v.annotator, v.prompt_id, v.responses, v.said_by, v.seconds, v.bought_at, q.asked_at, q.price
{_VERDICTS.format(join="JOIN")}
ORDER BY v.bought_at
"""


@dataclass(frozen=True)
class Batch:
    """Questions that are left for people.

    Attributes:
        annotator: Who is to answer, as the label store names it: the people as a whole.
        guidelines: Version of what they were told.
        account: The budget that the labels are paid from; "" if nothing is counted.
    """

    annotator: str
    guidelines: str
    account: str

    @property
    def identity(self) -> AnnotatorIdentity:
        """The annotator in the label store."""
        called, _ = unnamed(self.annotator)
        return AnnotatorIdentity(self.annotator, self.guidelines, called)


@dataclass(frozen=True)
class Pace:
    """One person's part.

    Attributes:
        by: The person.
        labels: How many labels the person gave.
        seconds: Median time of one; None if none was measured.
    """

    by: str
    labels: int
    seconds: float | None


@dataclass(frozen=True)
class Progress:
    """How far a batch is: what was left together with the questions that are still open.

    Attributes:
        given: Labels that were given.
        wanted: Labels in all.
        people: Who gave how many, most first.
    """

    given: int
    wanted: int
    people: tuple[Pace, ...]

    @property
    def left(self) -> int:
        """Labels that are still to be given."""
        return self.wanted - self.given


@dataclass(frozen=True)
class Left:
    """A question that was left for people.

    Attributes:
        prompt_id: The prompt.
        drawn: Candidate ids, in the order drawn.
        wanted: How many people it is for.
        asked_at: When it was left; equal for what was left together.
        price: Of one label.
        answers: How many people have answered it.
        answered: Whether a given person has.
    """

    prompt_id: str
    drawn: tuple[str, ...]
    wanted: int
    asked_at: float
    price: float
    answers: int
    answered: bool

    @property
    def compared(self) -> Compared:
        """The question, whatever the order."""
        return compared(self.prompt_id, self.drawn)

    @property
    def left(self) -> int:
        """How many people are still to answer it."""
        return max(0, self.wanted - self.answers)

    def shown_to(self, person: str) -> tuple[str, ...]:
        """The order drawn, or the opposite: each for half of all people and questions."""
        prompt_id, responses = self.compared
        turned = int(digest_of("turned", person, prompt_id, *responses), 16) % 2
        return self.drawn[::-1] if turned else self.drawn


def questions_in(connection: sqlite3.Connection, batch: Batch, person: str = "") -> list[Left]:
    """All questions of a batch, in the order in which they are asked; `answered` is of `person`."""
    found = connection.execute(_QUESTIONS, _parameters(connection, batch) | {"person": person})
    return [
        Left(prompt_id, tuple(json.loads(drawn)), wanted, asked_at, price, answers, bool(answered))
        for prompt_id, drawn, wanted, asked_at, price, answers, answered in found
    ]


def given_in(connection: sqlite3.Connection, batch: Batch) -> list[dict[str, Any]]:
    """All verdicts on questions of a batch, oldest first.

    Returns:
        annotator, prompt_id, responses (JSON), said_by, seconds, bought_at; asked_at and price of
        the question.
    """
    found = connection.execute(_GIVEN, _parameters(connection, batch))
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def progress_of(connection: sqlite3.Connection, batch: Batch) -> Progress:
    """How far a batch is."""
    questions = questions_in(connection, batch)
    # What was left together is answered before a run leaves more: earlier rounds are no progress.
    waves = {one.asked_at for one in questions if one.left} or {
        max((one.asked_at for one in questions), default=0.0)
    }
    seconds: dict[str, list[float | None]] = defaultdict(list)
    for row in given_in(connection, batch):
        if row["asked_at"] in waves:
            seconds[row["said_by"]].append(row["seconds"])
    people = [_pace(by, times) for by, times in seconds.items()]
    now = [one for one in questions if one.asked_at in waves]
    wanted = sum(one.wanted for one in now)
    given = wanted - sum(one.left for one in now)
    return Progress(given, wanted, tuple(sorted(people, key=lambda one: (-one.labels, one.by))))


def open_batches(kept: LabelStore) -> list[tuple[Batch, Progress]]:
    """The batches that lack labels, oldest first, and how far they are.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    if not kept.path.exists():
        return []
    with kept.connected() as connection:
        rows = connection.execute(
            "SELECT annotator, guidelines, account FROM questions GROUP BY 1, 2, 3 "
            "ORDER BY MIN(asked_at)"
        ).fetchall()
        found = [(batch, progress_of(connection, batch)) for batch in (Batch(*r) for r in rows)]
    return [(batch, progress) for batch, progress in found if progress.left]


def _pace(by: str, times: list[float | None]) -> Pace:
    known = [time for time in times if time is not None]
    return Pace(by, len(times), median(known) if known else None)


def _parameters(connection: sqlite3.Connection, batch: Batch) -> dict[str, Any]:
    return {
        # Labels that lie under another text of the same people are theirs, too.
        "texts": canonical_json(texts_of(connection, batch.identity)),
        "annotator": batch.annotator,
        "guidelines": batch.guidelines,
        "account": batch.account,
    }
