"""Time jobs against each other in one run.

They take turns, so that what else the machine does slows all of them alike. Only the ratios mean
something elsewhere.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from resource import RUSAGE_CHILDREN, getrusage
from typing import Generic, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

T = TypeVar("T")

Clock = Callable[[], float]
"""Seconds since some moment."""

WALL: Clock = time.perf_counter
CPU: Clock = time.process_time
"""Of all threads of this process; a busy machine stretches it less than `WALL`."""


def children_cpu() -> float:
    """A clock: CPU seconds of the processes this one started, once they have ended."""
    usage = getrusage(RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Job:
    """Something to time.

    Attributes:
        call: What to do.
        units: How many times it does the thing that is compared, for example prompts.
        warm: Whether to do it once before, untimed.
    """

    call: Callable[[], object]
    units: float = 1
    warm: bool = True


class Kept(Generic[T]):
    """A call that keeps what it returned last, so that a race need not be run again for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self.call = call

    def __call__(self) -> None:
        """Do it."""
        self.result = self.call()


@dataclass(frozen=True)
class Time:
    """Seconds per unit: the median of some rounds."""

    seconds: float
    rounds: int


def median(seconds: Sequence[float]) -> Time:
    """The time that these rounds give."""
    return Time(float(np.median(seconds)), len(seconds))


def race(jobs: Mapping[str, Job], rounds: int, clock: Clock = WALL) -> dict[str, Time]:
    """Run all jobs in turn, `rounds` times: the median of each."""
    return {name: median(seconds) for name, seconds in laps(jobs, rounds, clock).items()}


def laps(jobs: Mapping[str, Job], rounds: int, clock: Clock = WALL) -> dict[str, list[float]]:
    """Run all jobs in turn: seconds per unit of every round."""
    for job in jobs.values():
        if job.warm:
            job.call()
    return in_turn({name: partial(_lap, job, clock) for name, job in jobs.items()}, rounds)


def _lap(job: Job, clock: Clock) -> float:
    return once(job.call, clock)[1].seconds / job.units


def in_turn(ways: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """What each returns, round by round, where each does its own timing."""
    returned: dict[str, list[T]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            returned[name].append(way())
    return returned


def once(call: Callable[[], T], clock: Clock = WALL) -> tuple[T, Time]:
    """What a call returns, and the time of its only round."""
    start = clock()
    result = call()
    return result, Time(clock() - start, 1)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let BLAS, OpenMP and FAISS, which brings an OpenMP of its own, use so many threads."""
    with suppress(ImportError):
        import faiss

        faiss.omp_set_num_threads(count)
    with threadpool_limits(count):
        yield
