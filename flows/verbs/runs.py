"""The verb `runs`: the runs of the store; and what `prefopt show` says of one."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from flows.console import print_parts
from flows.terminal import Cell, Terminal, say
from prefopt_core.labels.estimates import percent
from prefopt_core.reports.page import Notice
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.reports.values import shortened
from prefopt_core.store.runs import Run
from prefopt_core.store.runs import runs as runs_of
from tasks.session import current_store

MARKS: dict[str, Literal["green", "blue", "yellow"]] = {
    "completed": "green",
    "running": "blue",
    "waiting": "yellow",
}
"""Colours of states; the others are red."""

_COLUMNS: dict[str, Callable[[Run], Cell]] = {
    "run": lambda run: run.name,
    "state": lambda run: (run.state, MARKS.get(run.state, "red")),
    "win rate": lambda run: "" if run.win_rate is None else percent(run.win_rate),
    "labels": lambda run: f"{run.labels:,}" if run.preferences else "",
    "cost": lambda run: f"{run.cost:,.2f}" if run.cost else "",
    "started": lambda run: datetime.fromtimestamp(run.started).strftime("%Y-%m-%d %H:%M"),
    "model": lambda run: run.model,
}


def runs() -> None:
    """Print a line for every run, the newest first, and why those that did not complete did not."""
    found, console = runs_of(current_store()), Terminal()
    if not found:
        say(f"The store {current_store().root} has no runs yet: prefopt run CONFIG")
        return
    columns = {name: [cell(run) for run in found] for name, cell in _COLUMNS.items()}
    said = {name: cells for name, cells in columns.items() if any(cells)}
    console.table([*said], zip(*said.values(), strict=True))
    for run in found:
        if run.reason:
            say(shortened(f"{run.name} {run.state}: {run.reason}", console.width))
    if any(run.reason for run in found):
        say("All of a reason, and what a run came to: prefopt show RUN")


def print_run(run: Run, console: Terminal) -> None:
    """Print a run's rounds, how it ended, and where its results are."""
    store = current_store()
    if run.metrics:
        title = f"{run.name}, {run.flow}"
        print_parts(rounds_in_words(store.read_all(run.metrics), run.kept), console, title)
    print_parts(map(Notice, run.doubts), console)
    lines = [("run", run.name), ("state", f"{run.state}{': ' * bool(run.reason)}{run.reason}")]
    page = store.root / "runs" / run.name / "report.html"
    lines += [("report", str(page))] if page.is_file() else []
    lines += [("preferences", f"prefopt export FOLDER --run {run.name}")] if run.preferences else []
    lines += [("policy", str(store.folder_path(run.policy)))] if run.policy else []
    lines += [("again", run.command)] if run.command else []
    for what, text in lines:
        console.tell(f"{what:<12} {text}")
