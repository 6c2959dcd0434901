"""Console output: a line per stage and a progress bar while stages run; then parts of pages."""

import logging
from collections.abc import Callable, Iterable
from types import TracebackType

from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.terminal import Terminal
from prefopt_core.reports.page import Notice, Part, Table, Text, Verdict
from prefopt_core.store.outcome import Outcome


class ConsoleObserver:
    """An `Observer` that prints a line per finished stage; on terminals also a progress bar.

    Within its block it prints warnings of the core, too, which Prefect's logging would swallow.
    """

    def __init__(self, console: Terminal) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
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
        self._console.tell(
            ("●", "green") if outcome.cached else ("○", "blue"), f" {stage:<18} {outcome}"
        )

    def noticed(self, text: str) -> None:
        """Print something doubtful."""
        self._console.tell(f"! {text}")


class _Warnings(logging.Handler):
    """Passes warnings on, as texts."""

    def __init__(self, told: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._told = told

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a warning on."""
        self._told(record.getMessage())


def print_parts(parts: Iterable[Part], console: Terminal, title: str = "") -> None:
    """Print tables and paragraphs of a page; the rest of it needs a browser.

    Args:
        parts: From top to bottom.
        console: Where to print them.
        title: Of the tables among them.
    """
    for part in parts:
        match part:
            case Table():
                console.table(
                    part.header, [[str(cell) for cell in row] for row in part.rows], title
                )
            case Notice():
                console.print(f"! {part.text}")
            case Text() | Verdict():
                console.print(part.text)
