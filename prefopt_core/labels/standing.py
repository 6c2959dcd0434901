"""How questions left for people stand: who has answered which, and what is left for whom.

Read from the label store once, then kept up to date one question at a time, so that what a verdict
costs does not grow with what was asked.
"""

import json
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from prefopt_core.ground.ids import digest_of
from prefopt_core.labels.questions import Compared
from prefopt_core.labels.store import AnnotatorIdentity, texts_of
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import Connection

Place = tuple[str, str]
"""(prompt_id, candidate ids in alphabetical order as a JSON list): where a question lies."""

Answers = Mapping[str, float | None]
"""Person → seconds that the answer took; None: not measured."""

_READ = """
SELECT q.prompt_id, q.responses, q.compared, q.wanted, q.asked_at, q.price, v.said_by, v.seconds
FROM questions q LEFT JOIN verdicts v
  -- Labels that lie under another text of the same people are theirs, too.
  ON v.annotator IN ({each}) AND v.guidelines = q.guidelines
  AND v.prompt_id = q.prompt_id AND v.compared = q.compared
WHERE q.annotator = ? AND q.guidelines = ? AND q.account = ?
"""
_ONE = " AND q.prompt_id = ? AND q.compared = ?"
_ORDER = " ORDER BY q.asked_at, q.position"


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
        since: When the first of them were asked for, in seconds since 1970.
    """

    given: int
    wanted: int
    people: tuple[Pace, ...]
    since: float = 0.0

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
    """

    prompt_id: str
    drawn: str
    together: str
    wanted: int
    asked_at: float
    price: float

    @property
    def compared(self) -> Compared:
        """The question, whatever the order."""
        return self.prompt_id, tuple(json.loads(self.together))

    @property
    def place(self) -> Place:
        """The same, as it stands in the label store."""
        return self.prompt_id, self.together

    def shown_to(self, person: str) -> tuple[str, ...]:
        """The order drawn, or the opposite: each for half of all people and questions."""
        prompt_id, responses = self.compared
        turned = int(digest_of("turned", person, prompt_id, *responses), 16) % 2
        drawn = tuple(json.loads(self.drawn))
        return drawn[::-1] if turned else drawn


@dataclass
class _Wave:
    """What was left together."""

    wanted: int = 0
    left: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # sorted


class Standing:
    """Questions and who has answered them, in memory."""

    def __init__(self, questions: Sequence[Left]) -> None:
        self._order = questions
        self._at = {question.place: at for at, question in enumerate(questions)}
        self._answers: dict[Place, Answers] = {}
        self._waves: dict[float, _Wave] = defaultdict(_Wave)
        # Person → before this question nothing is left for that person; None: for anybody.
        self._first: dict[str | None, int] = {}
        for question in questions:
            wave = self._waves[question.asked_at]
            wave.wanted += question.wanted
            wave.left += question.wanted

    def question(self, place: Place) -> Left | None:
        """The question at a place, if it is one of these."""
        at = self._at.get(place)
        return None if at is None else self._order[at]

    def answers(self, place: Place) -> Answers:
        """Who has answered a question."""
        return self._answers.get(place, {})

    def is_left(self, question: Left, person: str | None = None) -> bool:
        """Whether this person, or anybody, is still to answer a question."""
        answers = self.answers(question.place)
        return len(answers) < question.wanted and person not in answers

    def to_give(self, question: Left) -> int:
        """How many people are still to answer it."""
        return max(0, question.wanted - len(self.answers(question.place)))

    def ahead(self, person: str | None = None) -> Iterator[Left]:
        """What is left for this person, or for anybody, in the order asked."""
        moved = False
        for at in range(self._first.get(person, 0), len(self._order)):
            if self.is_left(self._order[at], person):
                if not moved:
                    self._first[person], moved = at, True
                yield self._order[at]
        if not moved:
            self._first[person] = len(self._order)

    def settle(self, place: Place, answers: Answers) -> None:
        """Take over who has answered a question."""
        at, before = self._at[place], self.answers(place)
        question = self._order[at]
        wave = self._waves[question.asked_at]
        wave.left -= self.to_give(question)
        self._answers[place] = dict(answers)
        wave.left += self.to_give(question)
        for by, seconds in before.items() - answers.items():
            _count(wave, by, seconds, -1)
        for by, seconds in answers.items() - before.items():
            _count(wave, by, seconds, 1)
        if before.keys() - answers.keys():  # it is open again
            self._first = {by: min(first, at) for by, first in self._first.items()}

    def progress(self) -> Progress:
        """How far all of it is."""
        # What was left together is answered before a run leaves more: earlier rounds are no
        # progress.
        times = [at for at, wave in self._waves.items() if wave.left]
        times = times or [max(self._waves, default=0.0)]
        waves = [self._waves[at] for at in times if at in self._waves]
        people = [
            Pace(
                by, sum(wave.labels[by] for wave in waves if by in wave.labels), _median(waves, by)
            )
            for by in {by for wave in waves for by in wave.labels}
        ]
        people.sort(key=lambda one: (-one.labels, one.by))
        wanted, left = sum(wave.wanted for wave in waves), sum(wave.left for wave in waves)
        return Progress(wanted - left, wanted, tuple(people), min(times))


def standing_of(
    connection: Connection,
    people: AnnotatorIdentity,
    account: str,
    place: Place | None = None,
) -> Standing:
    """How the questions stand that an account has left for people.

    Args:
        connection: To the label store.
        people: Who are to answer.
        account: The budget that pays.
        place: Only the question that lies there.
    """
    texts = canonical_json(texts_of(connection, people))
    rows = connection.execute(
        f"{_READ.format(each=connection.each)}{_ONE if place else ''}{_ORDER}",
        (texts, people.name, people.guidelines, account, *(place or ())),
    ).fetchall()
    questions = dict.fromkeys(Left(*row[:6]) for row in rows)
    answers: dict[Place, dict[str, float | None]] = defaultdict(dict)
    for prompt_id, _, together, *_, by, seconds in rows:
        if by is not None:
            answers[prompt_id, together][by] = seconds
    standing = Standing(list(questions))
    for one, given in answers.items():
        standing.settle(one, given)
    return standing


def _count(wave: _Wave, by: str, seconds: float | None, labels: int) -> None:
    wave.labels[by] += labels
    if seconds is not None and labels > 0:
        insort(wave.seconds[by], seconds)
    elif seconds is not None:
        wave.seconds[by].remove(seconds)


def _median(waves: Sequence[_Wave], by: str) -> float | None:
    known = [seconds for wave in waves for seconds in wave.seconds.get(by, ())]
    return median(known) if known else None
