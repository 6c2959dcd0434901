"""Trying a reader: input after input in a process of its own, bound in time and memory."""

import os
import re
import resource
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

from benchmarks.fuzz.mutations import mutated
from benchmarks.fuzz.readers import Reader, readers
from prefopt_core.ground.errors import PrefoptError

MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
"""Where files need no disk, if there is such a place."""
SECONDS = 5.0
MEMORY_MB = 1024
LONGEST = 5_000
"""Characters of an error that somebody can still read."""
_STEP = 500  # inputs between two reports of a process
_PATIENCE_S = 60.0


class TooSlowError(Exception):
    """An input takes longer than `SECONDS`."""


@dataclass
class Outcome:
    """What became of the inputs of one reader.

    Attributes:
        counts: Of `read`, `refused` and `other`.
        findings: (number of the input, what happened).
        seconds: Of all of them.
        slowest: Seconds of the slowest one.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0
    slowest: float = 0.0

    def add(self, other: "Outcome") -> None:
        """Take in what became of further inputs."""
        self.counts += other.counts
        self.findings += other.findings
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)

    def kinds(self) -> Iterator[tuple[int, str]]:
        """The first finding of each kind."""
        found = self.findings[::-1]
        yield from {re.sub(r"\d+", "1", what)[:60]: (n, what) for n, what in found}.values()


def input_of(reader: Reader, name: str, seed: int, number: int) -> bytes:
    """The input of that number."""
    return mutated(reader.seeds, Random(f"{seed}/{name}/{number}"))


def tried(reader: Reader, name: str, seed: int, numbers: Sequence[int], at: Any = None) -> Outcome:
    """Give a reader its inputs of those numbers; `at.value` is told each before."""
    outcome = Outcome()
    for number in numbers:
        if at is not None:
            at.value = number
        data = input_of(reader, name, seed, number)
        start = time.perf_counter()
        kind, told = _tried(reader, data)
        took = time.perf_counter() - start
        outcome.counts[kind] += 1
        outcome.seconds += took
        outcome.slowest = max(outcome.slowest, took)
        if kind == "other":
            outcome.findings.append((number, told))
    return outcome


def _tried(reader: Reader, data: bytes) -> tuple[str, str]:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        reader.read(data)
    except PrefoptError as error:
        size = len(str(error))
        return ("refused", "") if size < LONGEST else ("other", f"an error of {size} characters")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what Rust's panics become
        return "other", f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {SECONDS:g} s")


def limited() -> None:
    """Hold this process to `SECONDS` an input and to `MEMORY_MB` more than it has now."""
    signal.signal(signal.SIGALRM, _too_slow)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY_MB * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(name: str, seed: int, numbers: range, at: Any, results: Connection) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries in C and Rust say of a failure
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        reader = readers(Path(folder))[name]
        for data in reader.seeds:  # what is imported when it is first used
            _tried(reader, data)
        limited()
        for start in range(numbers.start, numbers.stop, _STEP):
            some = range(start, min(numbers.stop, start + _STEP))
            results.send(tried(reader, name, seed, some, at))


def campaign(name: str, seed: int, first: int, end: int) -> Outcome:
    """Try a reader in processes of its own; one that dies or hangs is a finding, and goes on."""
    outcome, begin, stop = Outcome(), first, end
    while begin < end:
        at = get_context("spawn").RawValue("q", begin)
        for part in _parts(name, seed, range(begin, stop), at):
            outcome.add(part)
            begin += part.counts.total()
        if begin < stop:  # what came before the culprit is tried again: its outcomes are lost
            stop = at.value
            continue
        if stop < end:
            outcome.counts["other"] += 1
            outcome.findings.append((stop, "the process died, or hung"))
            begin += 1
        stop = end
    return outcome


def _parts(name: str, seed: int, numbers: range, at: Any) -> Iterator[Outcome]:
    if not numbers:
        return
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(name, seed, numbers, at, there), daemon=True)
    process.start()
    there.close()
    try:
        while True:
            before = at.value
            if here.poll(_PATIENCE_S):
                yield here.recv()
            elif at.value == before:
                return
    except EOFError:  # it has ended
        return
    finally:
        process.kill()
        process.join()
