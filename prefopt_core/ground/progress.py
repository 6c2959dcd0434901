"""How far a stage is: whoever works reports, whoever shows listens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[int, int], None]
"""`(done, total)`; units are the stage's own (prompts, texts, steps)."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(done: int, total: int) -> None:
    """Say that `done` of `total` units of the running stage are finished."""
    if listener := _listener.get():
        listener(done, total)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send every report of the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
