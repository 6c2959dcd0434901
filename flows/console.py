"""Console output: a line per stage, and how far those are that take long; then parts of pages."""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import Event, Thread
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

from flows.terminal import Terminal, lasting
from prefopt_core.reports.page import Notice, Part, Table, Text, Verdict
from prefopt_core.store.outcome import Outcome

FIRST_S = 10.0
"""After so many seconds a stage is said to run, where there is no bar."""
_AGAIN, _SELDOM_S = 1.5, 300.0
"""It is said again when it has taken so many times as long, or so much longer."""
_BELIEVED_S = 10.0
"""What is left is said once a stage has gone on for so long after its first sign of progress."""


class ConsoleObserver:
    """An `Observer` that prints a line per finished stage, and how far the others are.

    On terminals that is a progress bar, elsewhere lines (`Ticker`). Within its block it prints what
    the core logs, too, which Prefect's logging would swallow.
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
        self._told = _Told(console)
        self._ended, ticker = Event(), Ticker(self._progress, console.tell)
        self._ticking = Thread(target=ticker.until, args=[self._ended], daemon=True)

    def __enter__(self) -> "ConsoleObserver":
        self._progress.start()
        if self._progress.disable:
            self._ticking.start()
        core = logging.getLogger("prefopt_core")
        self._level = core.level
        core.setLevel(logging.INFO)
        core.addHandler(self._told)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        core = logging.getLogger("prefopt_core")
        core.removeHandler(self._told)
        core.setLevel(self._level)
        self._ended.set()
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
        self._console.warn(text)


class Ticker:
    """Lines that say how far stages are which take long: the longer one takes, the fewer.

    Args:
        progress: Has the stages that run as its tasks.
        tell: Prints a line.
    """

    def __init__(self, progress: Progress, tell: Callable[[str], None]) -> None:
        self._progress, self._tell = progress, tell
        self._next: dict[TaskID, float] = {}
        self._paces: dict[TaskID, _Pace] = defaultdict(_Pace)

    def until(self, ended: Event) -> None:
        """Look every second what is to be said, until a run has ended."""
        while not ended.wait(1.0):
            self.tick()

    def tick(self) -> None:
        """Say how far each stage is of which it is time to say so."""
        for task in self._progress.tasks:
            took, done = task.elapsed or 0.0, task.completed
            self._paces[task.id].see(took, done)
            if took < self._next.get(task.id, FIRST_S):
                continue
            self._next[task.id] = min(took * _AGAIN, took + _SELDOM_S)
            far = f"{task.percentage:.0f} % after" if done else "after"
            left = self._paces[task.id].left(took, task.remaining or 0.0)
            said = f", about {lasting(left)} left" if left else ""
            self._tell(f"… {task.description:<18} {far} {lasting(took)}{said}")


class _Pace:
    """How fast a stage is from its first sign of progress on.

    What came before it, such as imports and the first step, says nothing of the others.
    """

    def __init__(self) -> None:
        self._signs: list[tuple[float, float]] = []  # the first and the latest: seconds, done

    def see(self, took: float, done: float) -> None:
        """Note how far the stage is after `took` seconds."""
        if self._signs and done < self._signs[-1][1]:  # a worker died, and another begins again
            self._signs.clear()
        if done and (not self._signs or done != self._signs[-1][1]):
            self._signs[1:] = [(took, done)]

    def left(self, took: float, remaining: float) -> float | None:
        """Seconds for what remains; None while nothing that can be believed is known of it."""
        if len(self._signs) < 2 or remaining <= 0:
            return None
        (began, first), (latest, done) = self._signs
        if latest - began < _BELIEVED_S:
            return None
        return max(1.0, remaining * (latest - began) / (done - first) - (took - latest))


class _Told(logging.Handler):
    """Prints what is logged."""

    def __init__(self, console: Terminal) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        if record.levelno >= logging.WARNING:
            self._console.warn(record.getMessage())
        else:
            self._console.tell(f"  {record.getMessage()}")


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
                console.paragraph(f"! {part.text}")
            case Text() | Verdict():
                console.paragraph(part.text)
