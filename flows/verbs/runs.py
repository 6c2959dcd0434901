"""The verb `runs`: the runs of the store; and what `prefopt show` says of one."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from flows.console import print_parts
from flows.terminal import Cell, Terminal, say
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.tracking.tracking import places
from prefopt_core.store.runs import Run
from prefopt_core.store.runs import runs as runs_of
from tasks.session import current_store

MARKS: dict[str, Literal["green", "blue", "yellow"]] = {
    "completed": "green",
    "running": "blue",
    "waiting": "yellow",
}
"""Colours of states; the others are red."""


def runs() -> None:
    """Print a line for every run, the newest first."""
    header = ["run", "state", "win rate", "labels", "cost", "started", "model"]
    found = runs_of(current_store())
    if found:
        Terminal().table(header, map(_row, found))
    else:
        say(f"The store {current_store().root} has no runs yet: prefopt run CONFIG")


def _row(run: Run) -> list[Cell]:
    return [
        run.name,
        (run.state, MARKS.get(run.state, "red")),
        "" if run.win_rate is None else f"{run.win_rate:.0%}",
        f"{run.labels:,}" if run.preferences else "",
        f"{run.cost:,.2f}" if run.cost else "",
        datetime.fromtimestamp(run.started).strftime("%Y-%m-%d %H:%M"),
        run.model,
    ]


def print_run(run: Run, console: Terminal) -> None:
    """Print a run's rounds, how it ended, and where its results are."""
    store = current_store()
    if run.metrics:
        title = f"{run.name}, {run.flow}"
        print_parts(rounds_in_words(store.read_all(run.metrics), run.kept), console, title)
    for warning in run.warnings:
        console.tell(f"! {warning}")
    state = f"{run.state}{': ' * bool(run.reason)}{run.reason}"
    for what, text in [("state", state), *results_of(run)]:
        console.tell(f"{what:<12} {text}")


def results_of(run: Run) -> Iterator[tuple[str, str]]:
    """Where the results of a run are, and what to type for them; what each is stands before it."""
    store, me = current_store(), called()
    page = store.root / "runs" / run.name / "report.html"
    if page.is_file():
        yield "report", str(page)
    if run.preferences:
        yield "pairs", f"{me} export FOLDER --run {run.name}"
    if run.policy:
        yield "policy", str(store.folder_path(run.policy))
        yield "", f"{me} export FOLDER --run {run.name} --policy"
    yield from places(page.parent).items()


def called() -> str:
    """What prefopt was called as: `make quickstart` does not put it on the PATH."""
    return sys.argv[0] if Path(sys.argv[0]).name == "prefopt" else "prefopt"
