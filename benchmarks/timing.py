"""Time jobs against each other in one run, and say whether a goal was reached.

The jobs of a race take turns, so that what else the machine does slows all of them alike. Only
the ratios mean something elsewhere.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

T = TypeVar("T")
Verdict = Literal["", "yes", "**no**"]


@dataclass(frozen=True)
class Job:
    """Something to time.

    Attributes:
        call: What to do.
        units: How many times it does the thing that is compared, for example prompts.
        rounds: How often it takes part, at most; None for always.
        warm: Whether to do it once before, untimed.
    """

    call: Callable[[], object]
    units: float = 1
    rounds: int | None = None
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


@dataclass(frozen=True)
class Row:
    """One comparison: what we do, against what, and what was hoped for."""

    what: str
    against: str
    ours: str
    theirs: str
    ratio: str
    rounds: str
    target: str = ""
    reached: Verdict = ""


HEADER = ("what", "against", "ours", "theirs", "ratio", "rounds", "target", "reached")


def race(jobs: dict[str, Job], rounds: int) -> dict[str, Time]:
    """Run all jobs in turn, `rounds` times."""
    taken: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        if job.warm:
            job.call()
    for turn in range(rounds):
        for name, job in jobs.items():
            if job.rounds is None or turn < job.rounds:
                start = time.perf_counter()
                job.call()
                taken[name].append((time.perf_counter() - start) / job.units)
    return {name: Time(float(np.median(times)), len(times)) for name, times in taken.items()}


def once(call: Callable[[], T]) -> tuple[T, Time]:
    """What a long job returns, and the time of its only round."""
    start = time.perf_counter()
    result = call()
    return result, Time(time.perf_counter() - start, 1)


def faster(what: str, against: str, ours: Time, theirs: Time, least: float | None = None) -> Row:
    """How many times the speed of the other, and how many times were hoped for at least."""
    ratio = theirs.seconds / ours.seconds
    target = "" if least is None else f"≥ {least:g} ×"
    met = least is None or ratio >= least
    return _row(what, against, ours, theirs, f"{ratio:.3g} × faster", target, met)


def costs(what: str, against: str, ours: Time, theirs: Time, most: float | None = None) -> Row:
    """How many times the time of the other, and how many times were hoped for at most."""
    ratio = ours.seconds / theirs.seconds
    target = "" if most is None else f"≤ {most:g} ×"
    met = most is None or ratio <= most
    return _row(what, against, ours, theirs, f"{ratio:.3g} × its time", target, met)


def _row(
    what: str, against: str, ours: Time, theirs: Time, ratio: str, target: str, met: bool
) -> Row:
    rounds = " / ".join(dict.fromkeys([str(ours.rounds), str(theirs.rounds)]))
    times = shown(ours.seconds), shown(theirs.seconds)
    return Row(what, against, *times, ratio, rounds, target, verdict(met) if target else "")


def figure(
    what: str, ours: str, against: str = "", theirs: str = "", target: str = "", met: bool = True
) -> Row:
    """A comparison of something else than times."""
    return Row(what, against, ours, theirs, "", "", target, verdict(met) if target else "")


def missing(what: str, library: str, problem: str = "") -> Row:
    """A comparison that could not be made."""
    install = f"not measured: `pip install {library}`"
    return Row(what, library, "–", "–", problem or install, "")


def verdict(met: bool) -> Verdict:
    """A failure must not be overlooked."""
    return "yes" if met else "**no**"


def shown(seconds: float) -> str:
    """Three digits and a unit.

    >>> shown(0.0123), shown(4.5e-6), shown(320)
    ('12.3 ms', '4.5 µs', '320 s')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    cells = [[str(getattr(row, name)) for name in HEADER] for row in rows]
    lines = (HEADER, ["---"] * len(HEADER), *cells)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let BLAS, OpenMP and FAISS, which brings an OpenMP of its own, use so many threads."""
    with suppress(ImportError):
        import faiss

        faiss.omp_set_num_threads(count)
    with threadpool_limits(count):
        yield
