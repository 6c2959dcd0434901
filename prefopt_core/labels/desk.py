"""The desk at which people answer: which question is next, their verdicts, taking one back."""

import json
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from contextlib import AbstractContextManager
from itertools import islice
from typing import Literal

from prefopt_core.labels.account import spend
from prefopt_core.labels.batch import Batch, Progress, given_in, is_open, progress_of, questions_in
from prefopt_core.labels.purchase import write_verdict
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import transaction

AWAY_S = 900.0
"""A question that somebody has on the screen is kept from others for so long, in seconds."""

Recorded = Literal["kept", "last", "refused"]
"""last: kept, and the batch is complete; refused: nothing was written, as the question is not open
for this person, or was not shown in this order."""


class Desk:
    """One batch, open for people; several may answer at once, in several processes.

    Attributes:
        batch: What is asked.
    """

    def __init__(self, kept: LabelStore, batch: Batch) -> None:
        self.batch = batch
        self._kept = kept
        self._lock = threading.Lock()
        # Person → when, and which questions are on the screen. Saves two people from answering the
        # same one; what is on disk decides.
        self._screens: dict[str, tuple[float, frozenset[tuple[str, str]]]] = {}
        # Person → (prompt_id, responses) of the verdicts recorded here. Clocks jump, and verdicts
        # come from files meanwhile, so times do not tell which was the last.
        self._recorded: dict[str, list[tuple[str, str]]] = defaultdict(list)

    def kept_open(self) -> AbstractContextManager[object]:
        """Keep the label store open within the block, in which many verdicts arrive.

        SQLite tidies up whenever the last connection to a file is closed, which takes several times
        as long as writing a verdict.
        """
        return self._kept.connected()

    def ahead(self, person: str, count: int = 1) -> list[Question]:
        """The next questions for a person, see `look`."""
        return self.look(person, count)[0]

    def look(self, person: str, count: int) -> tuple[list[Question], Progress]:
        """The next questions for a person, each in the order in which that person sees it.

        Questions that others have on their screens are left to them for `AWAY_S`.

        Args:
            person: Who asks.
            count: How many at most.

        Returns:
            The questions, none if nothing is left for this person now; and how far the batch is.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        with self._kept.connected() as connection:
            rows = questions_in(connection, self.batch, person)
            progress = progress_of(rows, given_in(connection, self.batch))
            with self._lock:
                elsewhere = self._elsewhere(person)
                free = (r for r in rows if not r.answered and r.left > elsewhere[r.place])
                shown = list(islice(free, count))
                self._screens[person] = (time.monotonic(), frozenset(row.place for row in shown))
            questions = [
                _question(connection, row.prompt_id, row.shown_to(person)) for row in shown
            ]
        return questions, progress

    def record(self, prompt_id: str, responses: tuple[str, ...], verdict: Verdict) -> Recorded:
        """Write a person's verdict and pay for it; both are on disk when this returns.

        Args:
            prompt_id: The prompt of the question.
            responses: Candidate ids, in the order in which `verdict.by` saw them.
            verdict: What the person said.

        Returns:
            What became of it.

        Raises:
            StoreError: The SQLite file cannot be written.
            ValueError: The verdict does not fit the question.
        """
        question = Question(prompt_id, (), tuple(Shown(one, "") for one in responses))
        if not verdict.fits(question):
            raise ValueError(f"a verdict that does not fit {len(responses)} responses")
        with self._kept.connected() as connection, transaction(connection):
            rows = questions_in(connection, self.batch, verdict.by, prompt_id)
            asked = {row.compared: row for row in rows}.get(question.compared)
            if asked is None or asked.answered or not asked.left:
                return "refused"
            if asked.shown_to(verdict.by) != responses:
                return "refused"
            account = self.batch.account
            write_verdict(connection, self.batch.identity, question, verdict, account)
            self._spend(connection, 1, asked.price)
            more = is_open(connection, self.batch)
        with self._lock:
            self._screens.pop(verdict.by, None)
            self._recorded[verdict.by].append((prompt_id, canonical_json(list(responses))))
        return "kept" if more else "last"

    def undo(self, person: str) -> bool:
        """Take back the last verdict that the person gave at this desk, and its payment.

        Not once all that was asked with it is answered: a run may have gone on with it by then.

        Returns:
            Whether there was one.

        Raises:
            StoreError: The SQLite file cannot be written.
        """
        with self._kept.connected() as connection, transaction(connection):
            given = {
                (one.prompt_id, one.responses): one
                for one in given_in(connection, self.batch)
                if (one.said_by, one.annotator) == (person, self.batch.annotator)
            }
            here = [place for place in self._recorded[person] if place in given]
            if not here:
                return False
            last = given[here[-1]]
            if not is_open(connection, self.batch, last.asked_at):
                return False
            connection.execute(
                "DELETE FROM verdicts WHERE annotator = :annotator AND guidelines = :guidelines "
                "AND prompt_id = :prompt_id AND responses = :responses AND said_by = :said_by",
                last._asdict() | {"guidelines": self.batch.guidelines},
            )
            self._spend(connection, -1, -last.price)
        return True

    def progress(self) -> Progress:
        """How far the batch is.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        with self._kept.connected() as connection:
            return progress_of(
                questions_in(connection, self.batch), given_in(connection, self.batch)
            )

    def _elsewhere(self, person: str) -> Counter[tuple[str, str]]:
        """How many others have each question on their screens."""
        now = time.monotonic()
        return Counter(
            place
            for other, (since, places) in self._screens.items()
            if other != person and now - since < AWAY_S
            for place in places
        )

    def _spend(self, connection: sqlite3.Connection, labels: int, cost: float) -> None:
        if self.batch.account:
            spend(connection, self.batch.account, labels, cost)


def _question(
    connection: sqlite3.Connection, prompt_id: str, responses: tuple[str, ...]
) -> Question:
    texts = dict(
        connection.execute(
            "SELECT id, text FROM texts WHERE id IN (SELECT value FROM json_each(?))",
            (canonical_json([prompt_id, *responses]),),
        ).fetchall()
    )
    shown = tuple(Shown(one, texts[one]) for one in responses)
    return Question(prompt_id, json.loads(texts[prompt_id]), shown)
