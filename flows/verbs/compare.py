"""`compare`: several ways of spending the same labels, over several seeds."""

import logging
import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows import comparison as flows_comparison
from flows.comparison import run_cell
from flows.console import print_parts
from flows.planning import print_doubts
from flows.preflight import certain, refuse_what_lacks
from flows.server import outliving, prefect_server, usual_server
from flows.stored import from_store
from flows.terminal import Terminal
from flows.verbs.options import NoServer, Quiet, Whole
from flows.verbs.run import changes_of
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.grid import Comparison, load_comparison
from prefopt_core.experiments.page import comparison_page
from prefopt_core.export.rows import write_rows
from prefopt_core.ground.errors import ConfigError
from prefopt_core.labels.estimates import percent
from prefopt_core.labels.store import LabelStore
from prefopt_core.reports.page import Page
from prefopt_core.reports.render import plots_to_files, render_markdown
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.outcome import Outcome
from tasks.session import Planned, Session, current_store, session

Preset = Annotated[str, Parameter(help="YAML file with base and arms, or the name of a preset")]
Changes = Annotated[str, Parameter(help="settings of every arm that has none itself, as budget=64")]
Seeds = Annotated[Whole | None, Parameter(help="runs of every arm", metavar="N", show_default="10")]
FirstSeed = Annotated[
    Whole | None, Parameter(help="the first of them", metavar="SEED", show_default="0")
]
Workers = Annotated[Whole, Parameter(help="seeds run at once", metavar="N")]
Plan = Annotated[bool, Parameter(help="show which runs the store holds")]
Out = Annotated[Path | None, Parameter(help="write .md, .svg and .csv", metavar="FOLDER")]


def compare(
    preset: Preset,
    /,
    *changes: Changes,
    seeds: Seeds = None,
    first_seed: FirstSeed = None,
    workers: Workers = 1,
    plan: Plan = False,
    out: Out = None,
    quiet: Quiet = False,
    no_server: NoServer = False,
) -> None:
    """Run what the store does not hold yet, and print what it came to."""
    if workers < 1:
        raise ConfigError(f"--workers is {workers}: it takes one at least.")
    over = {"seeds": seeds, "first_seed": first_seed}
    given = {name: value for name, value in over.items() if value is not None}
    comparison = load_comparison(preset, changes_of(changes), **given)
    console, kept = Terminal(), LabelStore.of(current_store())
    cells = comparison.of_seed(comparison.first_seed)
    doubts = [doubt for cell in cells for doubt in check(cell.config, kept)]
    print_doubts(doubts if plan else certain(doubts), console)
    if plan:
        return _plan(comparison, console)
    # Prefect's own lines would stand between ours; in its UI they are all there.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    progress = Terminal(quiet=True) if quiet else console
    refuse_what_lacks(doubts, lambda: _call_all(comparison))
    compared, shown = _ran(comparison, progress, workers, no_server=no_server)
    page = comparison_page(current_store().read(compared.table), comparison)
    print_parts(page.parts, console)
    if out:
        _write(out, page, compared.table)
    console.tell(f"report  {compared.report}")
    if not shown and not no_server:
        console.tell("Prefect has no part in this: the store held every result")
    return None


def _ran(
    comparison: Comparison, console: Terminal, workers: int, *, no_server: bool
) -> tuple[Any, bool]:
    """What the runs came to, and whether Prefect shows them: not if no server runs or is needed."""

    def ran(in_prefect: bool) -> Any:
        function = flows_comparison.compare
        return (function if in_prefect else function.fn)(comparison, workers)

    observer, lines = _Status(console), _Lines(console)
    how = Session(observer=observer)
    if not no_server and usual_server() is None:
        stored = from_store(lambda: flows_comparison.compare.fn(comparison), how)
        if stored is not None:
            return stored, False
    flows_comparison.log.addHandler(lines)
    flows_comparison.log.setLevel(logging.INFO)
    try:
        with nullcontext() if no_server else prefect_server(console.tell) as url:
            if url:
                console.tell(f"Prefect: {url.removesuffix('/api')}")
            with observer.status, session(how):
                return ran(False) if no_server else outliving(ran, console.tell), bool(url)
    finally:
        flows_comparison.log.removeHandler(lines)


def _call_all(comparison: Comparison) -> None:
    for cell in comparison.cells():
        run_cell(cell)


def _plan(comparison: Comparison, console: Terminal) -> None:
    """Say which runs the store holds, and what the others would take."""
    rows, complete = [], 0
    cells = list(comparison.cells())
    for cell in cells:
        stages: list[Planned] = []
        with session(Session(plan=stages)):
            run_cell(cell)
        hits = sum(stage.state == "hit" for stage in stages)
        labels = sum(stage.labels for stage in stages)
        complete += hits == len(stages)
        rows.append([cell.name, f"{hits} of {len(stages)}", f"≤ {labels:,}" if labels else ""])
    console.table(["run", "stages in the store", "labels to buy"], rows)
    console.tell(f"{complete} of {len(cells)} runs are in the store.")


def _write(folder: Path, page: Page, table: Artifact) -> None:
    """Write the page as Markdown with its plots, and the table `comparison` as CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    text = render_markdown(plots_to_files(page, folder))
    (folder / "comparison.md").write_text(text, encoding="utf-8")
    write_rows(current_store().read(table), folder / "comparison.csv")


class _Lines(logging.Handler):
    """Prints what the flow says."""

    def __init__(self, console: Terminal) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """One line for each finished run."""
        self.console.tell(record.getMessage())


class _Status:
    """Shows on a terminal which stage is going on; its lines would be too many here."""

    def __init__(self, console: Terminal) -> None:
        self.status = console.status("")

    def started(self, stage: str) -> None:
        """A stage begins."""
        self.status.update(stage)

    def progressed(self, stage: str, done: int, total: int) -> None:
        """A stage has done so much."""
        self.status.update(f"{stage}  {percent(done / max(total, 1))}")

    def finished(self, stage: str, outcome: Outcome) -> None:
        """A stage has its result."""

    def noticed(self, text: str) -> None:
        """Something is doubtful: every run would say it, and each has its own page for it."""
