"""The verb `runs`: the runs of the store; and what `prefopt show` says of one."""

from datetime import datetime
from typing import Literal

from flows.console import print_parts
from flows.terminal import Cell, Terminal, say
from prefopt_core.reports.rounds import rounds_in_words
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
        say(f"The store {current_store()} has no runs yet: prefopt run CONFIG")


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
    lines = [("state", f"{run.state}{': ' * bool(run.reason)}{run.reason}")]
    page = store.page(f"{run.name}/report.html")
    lines += [("report", str(page))] if page.is_file() else []
    lines += [("preferences", f"prefopt export FOLDER --run {run.name}")] if run.preferences else []
    lines += [("policy", store.place(run.policy))] if run.policy else []
    for what, text in lines:
        console.tell(f"{what:<12} {text}")
