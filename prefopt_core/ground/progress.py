"""Progress callbacks: stages report (done, total) and what they log, observers receive it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

ProgressCallback = Callable[[int, int], None]
"""`(done, total) -> None`; the unit is the stage's own (prompts, texts, training steps)."""
LogCallback = Callable[[Mapping[str, float]], None]
"""Receives an entry of a trainer's log: `step`, and what was measured in it."""

_callback: ContextVar[ProgressCallback | None] = ContextVar("callback", default=None)
_logged: ContextVar[LogCallback | None] = ContextVar("logged", default=None)


def report_progress(done: int, total: int) -> None:
    """Call the current progress callback, if there is one: `done` of `total` units are finished."""
    if callback := _callback.get():
        callback(done, total)


def report_logged(entry: Mapping[str, float]) -> None:
    """Call the current log callback, if there is one, with an entry of a trainer's log."""
    if callback := _logged.get():
        callback(entry)


@contextmanager
def listening(callback: ProgressCallback, logged: LogCallback | None = None) -> Iterator[None]:
    """Make `callback` the progress callback within the block, and `logged` the log callback."""
    tokens = _callback.set(callback), _logged.set(logged)
    try:
        yield
    finally:
        _callback.reset(tokens[0])
        _logged.reset(tokens[1])
