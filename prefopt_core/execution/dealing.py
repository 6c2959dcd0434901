"""Jobs dealt to workers: who gets which, what is repeated when one dies, in which order it ends.

The loop is ours for all kinds of workers. It knows which job kills its worker again and again, and
names that; an engine's own retries would count a dead node against every job that was queued there.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from prefopt_core.execution.working import Told
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.progress import report_progress
from prefopt_core.store.jobs import Done, Job

log = logging.getLogger(__name__)

_UNITS = 1000
"""Of progress, per job."""


@dataclass(frozen=True)
class Progressed:
    """A worker is so far with its first job, in [0, 1]."""

    fraction: float


@dataclass(frozen=True)
class Died:
    """A worker is gone.

    Attributes:
        how: What became of it, as "process 12 was killed by signal 9 (Killed)".
    """

    how: str


Answer = Done | Exception | Told | Progressed | Died


class Worker(Protocol):
    """Does jobs, in the order in which they are given to it."""

    def give(self, job: Job) -> None:
        """Hand it a job."""


W = TypeVar("W", bound=Worker)


class Crew(Protocol[W]):
    """Workers of one kind, which stay from stage to stage with the model that they have loaded.

    Attributes:
        most: How many there can be.
        ahead: How many jobs one worker gets in advance, the running one among them.
    """

    most: int
    ahead: int

    @property
    def workers(self) -> Sequence[W]:
        """Those that live."""

    def hire(self) -> W:
        """Start one more."""

    def dismiss(self, worker: W) -> None:
        """End one, or forget one that died."""

    def answer(self) -> tuple[W, Answer]:
        """Wait for the next answer of any."""

    def end(self) -> None:
        """End all; returns when what they took is free."""


def deal(crew: Crew[W], jobs: Sequence[Job], attempts: int) -> Iterator[Done]:
    """Have a crew do jobs; yields what came of them, in their order.

    Args:
        crew: Is filled up to its most, or a worker for each job.
        jobs: Of one stage.
        attempts: After how many deaths of its worker a job is given up.

    Raises:
        PrefoptError: A job has killed that many workers.
        Exception: What a job raised, at once; what others are at is dropped.
    """
    hand = _Hand(crew, jobs, attempts)
    try:
        while len(hand.ready) + hand.yielded < len(jobs):
            hand.out()
            hand.take(*crew.answer())
            while hand.yielded in hand.ready:
                yield hand.ready.pop(hand.yielded)
                hand.yielded += 1
    finally:
        for worker in [each for each, held in hand.held.items() if held]:
            crew.dismiss(worker)


class _Hand(Generic[W]):
    """Who holds which jobs, by their numbers."""

    def __init__(self, crew: Crew[W], jobs: Sequence[Job], attempts: int) -> None:
        self._crew, self._jobs, self._attempts = crew, jobs, attempts
        self._waiting = deque(range(len(jobs)))
        self._deaths: Counter[int] = Counter()
        self._fractions: dict[int, float] = {}
        self.held: dict[W, deque[int]] = {worker: deque() for worker in crew.workers}
        self.ready: dict[int, Done] = {}
        self.yielded = 0

    def out(self) -> None:
        """Give every worker a job, then the next ones; hire while there is more to do."""
        for held_at_most in range(self._crew.ahead):
            while self._waiting and (worker := self._with(held_at_most)):
                number = self._waiting.popleft()
                self.held[worker].append(number)
                worker.give(self._jobs[number])

    def _with(self, jobs: int) -> W | None:
        """A worker that holds so many jobs; for the first one it may be hired."""
        free = next((each for each, held in self.held.items() if len(held) == jobs), None)
        if free is None and not jobs and len(self.held) < self._crew.most:
            free = self._crew.hire()
            self.held[free] = deque()
        return free

    def take(self, worker: W, answer: Answer) -> None:
        """Take an answer, which is about the first job that the worker holds."""
        held = self.held[worker]
        match answer:
            case Done():
                self.ready[held.popleft()] = answer
            case Told():
                where = self._jobs[held[0]]
                logging.getLogger(answer.logger).log(answer.level, "%s: %s", where, answer.text)
            case Progressed():
                self._fractions[held[0]] = answer.fraction
            case Died():
                del self.held[worker]
                self._crew.dismiss(worker)
                self._waiting.extendleft(reversed(held))
                self._fractions.pop(held[0] if held else -1, None)
                self._bury(held, answer)
            case Exception():
                held.popleft()
                raise answer
        running = (self._fractions.get(held[0], 0.0) for held in self.held.values() if held)
        report_progress(int(_UNITS * (len(self.ready) + sum(running))), _UNITS)

    def _bury(self, held: Sequence[int], death: Died) -> None:
        """Count a death against the job that the worker was at.

        Raises:
            PrefoptError: It was the last attempt.
        """
        if not held:  # it died between two stages
            return
        job = self._jobs[held[0]]
        self._deaths[held[0]] += 1
        deaths = self._deaths[held[0]]
        if deaths < self._attempts:
            log.warning(
                "%s: its worker is gone (%s); another one takes it, attempt %d of %d",
                job, death.how, deaths + 1, self._attempts,
            )  # fmt: skip
            return
        raise PrefoptError(
            f"{job} lost its worker {deaths} times, the last one so: {death.how}. If memory ran "
            "out, lower `execution.workers`, or the batch sizes or `prompts.shard_size`. Finished "
            "shards are kept; the same command goes on from them."
        )
