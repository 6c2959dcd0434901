"""The verb `runs`: the runs of the store; and what `prefopt show` says of one."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal

from flows.console import print_parts
from flows.lookup import typed
from flows.terminal import Cell, Terminal, called, from_here, say
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.estimates import percent
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import Notice
from prefopt_core.reports.rounds import rounds_in_words
from prefopt_core.reports.values import shortened
from prefopt_core.store.runs import Run
from prefopt_core.store.runs import runs as runs_of
from prefopt_core.tracking.tracking import places
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
        say(f"The store {current_store()} has no runs yet: {called()} run CONFIG")
        return
    columns = {name: [cell(run) for run in found] for name, cell in _COLUMNS.items()}
    said = {name: cells for name, cells in columns.items() if any(cells)}
    console.table([*said], zip(*said.values(), strict=True))
    for run in found:
        if run.reason:
            say(shortened(f"{run.name} {run.state}: {run.reason}", console.width))
    if any(run.reason for run in found):
        say(f"All of a reason, and what a run came to: {called()} show RUN")


def print_run(run: Run, console: Terminal) -> None:
    """Print a run's rounds, how it ended, and where its results are."""
    store = current_store()
    if run.metrics:
        title = f"{run.name}, {run.flow}"
        print_parts(rounds_in_words(store.read_all(run.metrics), run.kept), console, title)
    print_parts(map(Notice, run.warnings), console)
    lines = [("run", run.name), ("state", f"{run.state}{': ' * bool(run.reason)}{run.reason}")]
    lines += [*_awaited(run), *results_of(run)]
    lines += [("again", again)] if (again := _again(run)) else []
    for what, text in lines:
        console.tell(f"{what:<12} {text}")


def _again(run: Run) -> str:
    """What to type to run it again, or to go on; nothing if that is not known."""
    if run.state in ("stopped", "failed", "killed") and run.flow_run and not run.command:
        return f"prefect flow-run retry {run.flow_run}"  # of a deployment
    return typed(run)


def _awaited(run: Run) -> Iterator[tuple[str, str]]:
    """What to type to answer the questions that a run waits for."""
    if run.state == "waiting":
        for batch, progress in open_batches(LabelStore.of(current_store())):
            if batch.account == run.account:
                left = f"{counted(progress.left, 'label')} to give"
                yield "annotate", f"{called()} annotate {batch.id}  ({left})"


def results_of(run: Run) -> Iterator[tuple[str, str]]:
    """Where the results of a run are, and what to type for them; what each is stands before it."""
    store, me = current_store(), called()
    page = store.page(f"{run.name}/report.html")
    if page.is_file():
        yield "report", from_here(page)
    if run.preferences:
        yield "pairs", f"{me} export FOLDER --run {run.name}"
    if run.policy:
        yield "policy", from_here(store.place(run.policy))
        yield "", f"{me} export FOLDER --run {run.name} --policy"
    yield from places(page.parent).items()
