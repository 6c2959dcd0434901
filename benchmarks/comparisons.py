"""Rows that compare ours with theirs, and say whether a goal was reached."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks import printing
from benchmarks.printing import duration
from benchmarks.timing import Time

Verdict = Literal["", "yes", "**no**"]


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
    times = duration(ours.seconds), duration(theirs.seconds)
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


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    return printing.table(HEADER, [[str(getattr(row, name)) for name in HEADER] for row in rows])
