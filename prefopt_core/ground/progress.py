"""Progress callbacks: stages report (done, total), observers receive it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ProgressCallback = Callable[[int, int], None]
"""`(done, total) -> None`; the unit is the stage's own (prompts, texts, training steps)."""

_callback: ContextVar[ProgressCallback | None] = ContextVar("callback", default=None)


def report_progress(done: int, total: int) -> None:
    """Call the current progress callback, if there is one: `done` of `total` units are finished."""
    if callback := _callback.get():
        callback(done, total)


@contextmanager
def listening(callback: ProgressCallback) -> Iterator[None]:
    """Make `callback` the progress callback within the block."""
    token = _callback.set(callback)
    try:
        yield
    finally:
        _callback.reset(token)
