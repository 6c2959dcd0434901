"""How a plan is printed: by round what would run, why, for how long; what it takes altogether."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from flows.terminal import Cell, Terminal
from prefopt_core.experiments.capacity import free_at
from prefopt_core.experiments.estimates import Estimate, estimates
from prefopt_core.reports.labels import counted
from prefopt_core.store.store import Store
from tasks.stage import Planned

_NAMED = 3
"""Stages that are named where nothing is known of them; more are counted."""

Line = tuple[Planned, Estimate | None]


def print_plan(stages: Sequence[Planned], store: Store, console: Terminal, title: str) -> None:
    """Print the stages of a plan, what is in the store summed up, and what the others take."""
    lines = list(zip(stages, estimates(stages, store), strict=True))
    width = max(len(planned.stage) for planned in stages)
    console.tell(title)
    console.tell(f"  {'stage':<{width}}  {'labels':>7}  {'time':>7}   why")
    for name, part in _parts(lines):
        hits = sum(planned.state == "hit" for planned, _ in part)
        kept = f"{'all' if hits == len(part) else hits} of {len(part)} in the store"
        colour: Cell = (kept, "green" if hits == len(part) else "")
        console.tell(f"{name:<{width + 23}}", colour)
        for planned, estimate in part:
            if planned.state == "miss":
                labels = f"≤ {planned.labels}" if planned.labels else ""
                took = lasting(estimate.seconds) if estimate else "?"
                console.tell(
                    f"  {planned.stage:<{width}}  {labels:>7}  {took:>7}   {planned.reason}"
                )
    for line in _sums([line for line in lines if line[0].state == "miss"], len(lines), store):
        console.tell(line)


def _parts(lines: Sequence[Line]) -> Iterator[tuple[str, list[Line]]]:
    """Name and stages of each part, in the order in which they run."""
    for name, part in groupby(lines, key=lambda line: line[0].part):
        yield name or "start", list(part)


def _sums(misses: Sequence[Line], total: int, store: Store) -> Iterator[str]:
    labels = sum(planned.labels for planned, _ in misses)
    yield (f"{len(misses)} of {total} stages would run and buy at most {counted(labels, 'label')}.")
    if not misses:
        return
    known = [estimate for _, estimate in misses if estimate]
    if not known:
        yield "Time and disk: not known, as the store has no earlier stages like these."
        return
    unknown = list(dict.fromkeys(planned.stage for planned, each in misses if each is None))
    without = ", ".join(unknown) if len(unknown) <= _NAMED else f"{len(unknown)} other stages"
    but = f", and of {without} nothing is known" if unknown else ""
    _, free = free_at(store.root)
    time = lasting(sum(each.seconds for each in known))
    yield f"Time: about {time}, by earlier ones in the store{but}."
    yield f"Disk: about {sized(sum(each.bytes for each in known))}; {sized(free)} are free."


def lasting(seconds: float) -> str:
    """A duration in words.

    >>> lasting(0.2), lasting(80), lasting(5400)
    ('1 s', '80 s', '1.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5000 else f"{seconds / 3600:,.1f} h"


def sized(count: float) -> str:
    """A number of bytes in words.

    >>> sized(300_000), sized(5 * 2**30)
    ('1 MiB', '5.0 GiB')
    """
    mib = count / 2**20
    return f"{max(1, round(mib))} MiB" if mib < 1000 else f"{mib / 1024:,.1f} GiB"
