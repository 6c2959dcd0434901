"""Batches: what one budget has left for people to answer, and how far they are.

Every question of a batch is answered by as many different people as it was published for.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from prefopt_core.ground.ids import digest_of
from prefopt_core.labels.questions import Compared
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, texts_of, unnamed
from prefopt_core.store.artifacts import canonical_json

_OF_QUESTIONS = """
  v.annotator IN (SELECT value FROM json_each(:texts)) AND v.guidelines = q.guidelines
  AND v.prompt_id = q.prompt_id AND v.compared = q.compared
"""
_IN_BATCH = "(q.annotator, q.guidelines, q.account) = (:annotator, :guidelines, :account)"
_QUESTIONS = f"""
SELECT q.prompt_id, q.responses, q.compared, q.wanted, q.asked_at, q.price,
       COUNT(DISTINCT v.said_by), TOTAL(v.said_by = :person)
FROM questions q LEFT JOIN verdicts v ON {_OF_QUESTIONS}
WHERE {_IN_BATCH} AND q.prompt_id = COALESCE(:prompt_id, q.prompt_id)
GROUP BY q.prompt_id, q.compared ORDER BY q.asked_at, q.position
"""
_GIVEN = f"""
SELECT v.annotator, v.prompt_id, v.responses, v.said_by, v.seconds, q.asked_at, q.price
FROM questions q JOIN verdicts v ON {_OF_QUESTIONS} WHERE {_IN_BATCH} ORDER BY v.bought_at
"""
_IS_OPEN = f"""
SELECT EXISTS (
  SELECT 1 FROM questions q WHERE {_IN_BATCH} AND q.asked_at = COALESCE(:asked_at, q.asked_at)
  AND q.wanted > (SELECT COUNT(DISTINCT v.said_by) FROM verdicts v WHERE {_OF_QUESTIONS})
)
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


class Left(NamedTuple):
    """A question that was left for people.

    Attributes:
        prompt_id: The prompt.
        drawn: Candidate ids in the order drawn, a JSON list.
        together: The same in alphabetical order.
        wanted: How many people it is for.
        asked_at: When it was left; equal for what was left together.
        price: Of one label.
        answers: How many people have answered it.
        answered: How many times a given person has: 0 or 1.
    """

    prompt_id: str
    drawn: str
    together: str
    wanted: int
    asked_at: float
    price: float
    answers: int
    answered: float

    @property
    def compared(self) -> Compared:
        """The question, whatever the order."""
        return self.prompt_id, tuple(json.loads(self.together))

    @property
    def place(self) -> tuple[str, str]:
        """The same, as it stands in the label store."""
        return self.prompt_id, self.together

    @property
    def left(self) -> int:
        """How many people are still to answer it."""
        return max(0, self.wanted - self.answers)

    def shown_to(self, person: str) -> tuple[str, ...]:
        """The order drawn, or the opposite: each for half of all people and questions."""
        prompt_id, responses = self.compared
        turned = int(digest_of("turned", person, prompt_id, *responses), 16) % 2
        drawn = tuple(json.loads(self.drawn))
        return drawn[::-1] if turned else drawn


class Given(NamedTuple):
    """A verdict on a question of a batch: where it lies, and for what it was given."""

    annotator: str
    prompt_id: str
    responses: str
    said_by: str
    seconds: float | None
    asked_at: float
    price: float


def questions_in(
    connection: sqlite3.Connection, batch: Batch, person: str = "", prompt_id: str | None = None
) -> list[Left]:
    """The questions of a batch, in the order in which they are asked.

    Args:
        connection: To the label store.
        batch: Which.
        person: Of whom `answered` is.
        prompt_id: Only those on this prompt.
    """
    more = {"person": person, "prompt_id": prompt_id}
    rows = connection.execute(_QUESTIONS, _parameters(connection, batch) | more)
    return [Left(*row) for row in rows]


def given_in(connection: sqlite3.Connection, batch: Batch) -> list[Given]:
    """All verdicts on questions of a batch, oldest first."""
    return [Given(*row) for row in connection.execute(_GIVEN, _parameters(connection, batch))]


def is_open(connection: sqlite3.Connection, batch: Batch, asked_at: float | None = None) -> bool:
    """Whether a batch, or what was left at one time, still lacks labels."""
    more = {"asked_at": asked_at}
    (found,) = connection.execute(_IS_OPEN, _parameters(connection, batch) | more).fetchone()
    return bool(found)


def progress_of(questions: Sequence[Left], given: Iterable[Given]) -> Progress:
    """How far a batch is, by all its questions and verdicts."""
    # What was left together is answered before a run leaves more: earlier rounds are no progress.
    waves = {one.asked_at for one in questions if one.left}
    waves = waves or {max((one.asked_at for one in questions), default=0.0)}
    seconds: dict[str, list[float | None]] = defaultdict(list)
    for verdict in given:
        if verdict.asked_at in waves:
            seconds[verdict.said_by].append(verdict.seconds)
    people = [_pace(by, times) for by, times in seconds.items()]
    now = [one for one in questions if one.asked_at in waves]
    wanted = sum(one.wanted for one in now)
    left = sum(one.left for one in now)
    people.sort(key=lambda one: (-one.labels, one.by))
    return Progress(wanted - left, wanted, tuple(people))


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
        found = [
            (batch, progress_of(questions_in(connection, batch), given_in(connection, batch)))
            for batch in (Batch(*row) for row in rows)
        ]
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
