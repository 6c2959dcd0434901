"""The desk at which people answer: which question is next, their verdicts, taking one back."""

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Literal

from prefopt_core.ground.errors import StoreError
from prefopt_core.labels.account import spend
from prefopt_core.labels.batch import Batch
from prefopt_core.labels.purchase import write_verdict
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.standing import Left, Place, Progress, Standing
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import Connection, Ledger, transaction

AWAY_S = 900.0
"""A question that somebody has on the screen is kept from others for so long, in seconds."""

_OLD_S = 1.0
"""What is in memory may be so old, in seconds, when others have written meanwhile."""

_READING = 0.1
"""Share of the time that reading a large batch anew may take: 10⁶ questions take a minute."""

_SAID = """
FROM verdicts WHERE annotator = ? AND guidelines = ? AND prompt_id = ? AND compared = ?
AND said_by = ?
"""

Recorded = Literal["kept", "last", "refused"]
"""last: kept, and the batch is complete; refused: nothing was written, as the question is not open
for this person, or was not shown in this order."""


class _Held:
    """A connection to the label store, and how the batch stands as it was read by that."""

    def __init__(self, connection: Connection, ledger: Ledger) -> None:
        self.connection, self._ledger = connection, ledger
        self._standing: Standing | None = None
        self._version, self._read_at, self._took = 0, 0.0, 0.0

    def require(self) -> None:
        """Refuse to go on where verdicts would be written into a file that nobody finds.

        Raises:
            StoreError: The file was moved or replaced.
        """
        if not self.connection.stands():
            raise StoreError(
                f"{self._ledger} was moved or replaced since `prefopt annotate` started. Start it "
                "again."
            )

    def standing(self, batch: Batch, old_s: float = _OLD_S) -> Standing:
        """How the batch stands; read anew if others have written since, and it is older."""
        version, now = self.connection.version(), time.monotonic()
        rest = max(old_s, self._took / _READING) if old_s else 0.0
        is_old = version != self._version and now - self._read_at >= rest
        if self._standing is None or is_old:
            self._standing = batch.standing(self.connection)
            self._version, self._read_at = version, time.monotonic()
            self._took = self._read_at - now
        return self._standing

    def settled(
        self, batch: Batch, standing: Standing, question: Left, person: str | None = None
    ) -> bool:
        """Whether a question is left for this person, or anybody, on disk; memory learns it."""
        here = batch.standing(self.connection, question.place)
        if here.question(question.place) != question:
            self._version = -1  # it was taken away, or is for more people: all is read again
            return False
        standing.settle(question.place, here.answers(question.place))
        return standing.is_left(question, person)

    def is_open(self, batch: Batch, place: Place, asked_at: float | None = None) -> bool:
        """Whether the batch, or what was left at one time, lacks labels, after a change there."""
        for old_s in (_OLD_S, 0.0):
            standing = self.standing(batch, old_s)
            if question := standing.question(place):
                self.settled(batch, standing, question)
            if any(
                asked_at in (None, one.asked_at) and self.settled(batch, standing, one)
                for one in standing.ahead()
            ):
                return True
        return False

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction; if it fails, memory has learned what is not so."""
        try:
            with transaction(self.connection) as connection:
                yield connection
        except BaseException:
            self._standing = None
            raise


class Desk:
    """One batch, open for people; several may answer at once, in several processes.

    What is next and how far the batch is are known from memory, so that they take no longer in a
    large batch. What others write meanwhile makes them old by up to `_OLD_S`; so what is on disk
    decides: each question is looked up there before it is shown, and before a verdict is written.

    Attributes:
        batch: What is asked.
    """

    def __init__(self, kept: LabelStore, batch: Batch) -> None:
        self.batch = batch
        self._kept = kept
        self._lock = threading.RLock()
        self._held: _Held | None = None
        # Person → when, and which questions are on the screen. Saves two people from answering the
        # same one; what is on disk decides.
        self._screens: dict[str, tuple[float, frozenset[Place]]] = {}
        # Person → places of the verdicts recorded here. Clocks jump, and verdicts come from files
        # meanwhile, so times do not tell which was the last.
        self._recorded: dict[str, list[Place]] = defaultdict(list)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the label store open within the block, in which many verdicts arrive.

        SQLite tidies up whenever the last connection is closed, which takes longer than a verdict;
        and only a connection that stays tells whether others have written since.
        """
        with self._kept.connected() as connection:
            self._held = _Held(connection, self._kept.ledger)
            try:
                yield
            finally:
                with self._lock:
                    self._held = None

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
        with self._opened() as held:
            standing = held.standing(self.batch)
            shown = self._free(held, standing, person, count)
            if len(shown) < count:
                standing = held.standing(self.batch, old_s=0)
                shown = self._free(held, standing, person, count)
            self._screens[person] = (time.monotonic(), frozenset(one.place for one in shown))
            questions = [
                _question(held.connection, one.prompt_id, one.shown_to(person)) for one in shown
            ]
            return questions, standing.progress()

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
        by, place = verdict.by, _place(question)
        with self._opened() as held, held.writing() as connection:
            here = self.batch.standing(connection, place)
            asked = here.question(place)
            if not asked or not here.is_left(asked, by) or asked.shown_to(by) != responses:
                return "refused"
            write_verdict(connection, self.batch.identity, question, verdict, self.batch.account)
            self._spend(connection, 1, asked.price)
            more = held.is_open(self.batch, place)
            self._screens.pop(by, None)
            self._recorded[by].append(place)
        return "kept" if more else "last"

    def undo(self, person: str) -> bool:
        """Take back the last verdict that the person gave at this desk, and its payment.

        Not once all that was asked with it is answered: a run may have gone on with it by then.

        Returns:
            Whether there was one.

        Raises:
            StoreError: The SQLite file cannot be written.
        """
        with self._opened() as held, held.writing() as connection:
            recorded = self._recorded[person]
            while recorded and not self._said(connection, person, recorded[-1]):
                recorded.pop()  # it was deleted since
            if not recorded:
                return False
            place = recorded[-1]
            last = self.batch.standing(connection, place).question(place)
            if last is None or not held.is_open(self.batch, place, last.asked_at):
                return False
            connection.execute(f"DELETE {_SAID}", self._own(person, place))
            self._spend(connection, -1, -last.price)
            held.is_open(self.batch, place)  # it is, again
        return True

    def progress(self) -> Progress:
        """How far the batch is.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        with self._opened() as held:
            return held.standing(self.batch, old_s=0).progress()

    @contextmanager
    def _opened(self) -> Iterator["_Held"]:
        """The label store and what is known of it, for one thread at a time."""
        with self._lock:
            if self._held is None:
                with self._kept.connected() as connection:
                    yield _Held(connection, self._kept.ledger)
            else:
                self._held.require()
                with self._kept.ledger.told():
                    yield self._held

    def _free(self, held: "_Held", standing: Standing, person: str, count: int) -> list[Left]:
        """The next questions that are left for a person, on disk, too, and on no other screen."""
        elsewhere = self._elsewhere(person)
        free = (
            one
            for one in standing.ahead(person)
            if standing.to_give(one) > elsewhere[one.place]
            and held.settled(self.batch, standing, one, person)
        )
        return list(islice(free, count))

    def _said(self, connection: Connection, person: str, place: Place) -> bool:
        return bool(connection.execute(f"SELECT 1 {_SAID}", self._own(person, place)).fetchone())

    def _own(self, person: str, place: Place) -> tuple[str, ...]:
        return (self.batch.annotator, self.batch.guidelines, *place, person)

    def _elsewhere(self, person: str) -> Counter[Place]:
        """How many others have each question on their screens."""
        now = time.monotonic()
        return Counter(
            place
            for other, (since, places) in self._screens.items()
            if other != person and now - since < AWAY_S
            for place in places
        )

    def _spend(self, connection: Connection, labels: int, cost: float) -> None:
        if self.batch.account:
            spend(connection, self.batch.account, labels, cost)


def _place(question: Question) -> Place:
    prompt_id, together = question.compared
    return prompt_id, canonical_json(list(together))


def _question(connection: Connection, prompt_id: str, responses: tuple[str, ...]) -> Question:
    texts = dict(
        connection.execute(
            f"SELECT id, text FROM texts WHERE id IN ({connection.each})",
            (canonical_json([prompt_id, *responses]),),
        ).fetchall()
    )
    shown = tuple(Shown(one, texts[one]) for one in responses)
    return Question(prompt_id, json.loads(texts[prompt_id]), shown)
