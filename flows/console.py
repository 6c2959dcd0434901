"""Console output: a line per stage and a progress bar while stages run; then parts of pages."""

import logging
from collections.abc import Callable, Iterable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable

from prefopt_core.reports.page import Notice, Part, Table, Text
from prefopt_core.store.stage import Outcome


class ConsoleObserver:
    """An `Observer` that prints a line per finished stage; on terminals also a progress bar.

    Within its block it prints warnings of the core, too, which Prefect's logging would swallow.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._console = console
        self._tasks: dict[str, TaskID] = {}
        self._warnings = _Warnings(self.noticed)

    def __enter__(self) -> "ConsoleObserver":
        self._progress.start()
        logging.getLogger("prefopt_core").addHandler(self._warnings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        logging.getLogger("prefopt_core").removeHandler(self._warnings)
        self._progress.stop()

    def started(self, stage: str) -> None:
        """Add the stage's progress bar."""
        self._tasks[stage] = self._progress.add_task(stage, total=None)

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Update the stage's progress bar."""
        self._progress.update(self._tasks[stage], completed=done, total=total)

    def finished(self, stage: str, outcome: Outcome) -> None:
        """Replace the progress bar by a line with the outcome."""
        self._progress.remove_task(self._tasks.pop(stage))
        mark = "[green]●[/]" if outcome.cached else "[blue]○[/]"
        self._console.print(f"{mark} {stage:<18} {outcome}", highlight=False, soft_wrap=True)

    def noticed(self, text: str) -> None:
        """Print something doubtful."""
        self._console.print(f"! {text}", highlight=False, markup=False, soft_wrap=True)


class _Warnings(logging.Handler):
    """Passes warnings on, as texts."""

    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a warning on."""
        self._told(record.getMessage())


def print_parts(parts: Iterable[Part], console: Console, title: str = "") -> None:
    """Print tables and paragraphs of a page; the rest of it needs a browser.

    Args:
        parts: From top to bottom.
        console: Where to print them; what they hold is never read as its markup.
        title: Of the tables among them.
    """
    for part in parts:
        match part:
            case Table():
                table = RichTable(title=escape(title) or None)
                for name in part.header:
                    table.add_column(escape(name), overflow="fold")  # no figure is cut off
                for row in part.rows:
                    table.add_row(*(escape(str(cell)) for cell in row))
                console.print(table)
            case Notice():
                console.print(f"! {part.text}", highlight=False, markup=False)
            case Text():
                console.print(part.text, highlight=False, markup=False)
