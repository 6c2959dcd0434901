"""Faults, one after the other, each in a store of its own; what became of them as a table."""

import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.faults.checks import problems
from benchmarks.faults.kinds import KINDS, Kind
from benchmarks.faults.loop import Loop
from benchmarks.faults.trial import Trial, Unavailable
from benchmarks.printing import table


@dataclass
class Outcome:
    """What became of a fault.

    Attributes:
        kind: Its name.
        seed: Its number: the same again with `--fault kind:seed`.
        where: At which place, or how, it happened.
        problems: What did not hold afterwards.
        mended: Whether the rerun was refused, and went on once what the message says was done.
        skipped: Why it could not be tried; "" if it was.
        seconds: With the rerun.
    """

    kind: str
    seed: int
    where: str = ""
    problems: tuple[str, ...] = ()
    mended: bool = False
    skipped: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        verdict = self.skipped and f"skipped: {self.skipped}"
        verdict = verdict or "; ".join(self.problems) or ("mended" if self.mended else "identical")
        return f"{self.kind}:{self.seed} · {self.where} · {self.seconds:.0f} s · {verdict}"


def tried(loop: Loop, name: str, seed: int, defect: str, keep: bool) -> Outcome:
    """One fault, the loop once more, and the checks."""
    kind, rng = KINDS[name], Random(f"{name}:{seed}")
    trial = loop.begin(f"{name}-{seed}", defect, _beginning(loop, kind, rng))
    outcome, began = Outcome(name, seed), time.monotonic()
    try:
        found = []
        try:
            outcome.where = kind.fault(trial, rng, loop.last)
        except AssertionError as error:
            found.append(str(error))
        except (OSError, ValueError, LookupError, sqlite3.Error) as error:
            found.append(f"the fault itself failed: {error!r}")
        trial.note_standing()
        outcome.mended = _rerun(trial, kind)
        if trial.said[-1].code != 0:
            found.append(f"the rerun ended with {trial.said[-1].code}")
        outcome.problems = (*found, *problems(trial, loop))
    except Unavailable as reason:
        outcome.skipped = str(reason)
    outcome.seconds = time.monotonic() - began
    if not keep or not outcome.problems:
        shutil.rmtree(trial.folder, ignore_errors=True)
    return outcome


def _beginning(loop: Loop, kind: Kind, rng: Random) -> Path | None:
    if kind.from_nothing and rng.random() < 0.4:
        return None
    fitting = [path for path in loop.copies if kind.fits(Trial(path, loop.trial.config))]
    return fitting[int(rng.random() * len(fitting))]  # of other copies, the one near it


def _rerun(trial: Trial, kind: Kind) -> bool:
    """Run the loop to its end; whether that took what a message said."""
    said = trial.run()
    told = ("The budget was used up", "prefopt labels rebuild")
    if kind.mend and (said.code == 2 or any(words in said.out for words in told)):
        kind.mend(trial)
        trial.run()
        return True
    return False


def page(outcomes: Iterable[Outcome]) -> str:
    """A row a kind: what was tried, and what came of it."""
    header = ["fault", "what happens", "tried", "identical", "after its words", "failed", "where"]
    return table(header, [*_rows(list(outcomes))])


def _rows(outcomes: list[Outcome]) -> Iterator[list[str]]:
    for name in KINDS:
        if own := [one for one in outcomes if one.kind == name]:
            yield _row(name, KINDS[name].what, own)
    yield _row("all", "", outcomes, places=False)


def _row(name: str, what: str, own: list[Outcome], *, places: bool = True) -> list[str]:
    done = [one for one in own if not one.skipped]
    failed = [one for one in done if one.problems]
    mended = sum(one.mended for one in done if not one.problems)
    counts = [len(done), len(done) - len(failed) - mended, mended, len(failed)]
    where = Counter(one.where for one in done if one.where)
    told = ", ".join(f"{place} {n}" if n > 1 else place for place, n in where.most_common(6))
    skipped = next((f"skipped: {one.skipped}" for one in own if one.skipped), "")
    return [name, what, *map(str, counts), (told or skipped) if places else ""]
