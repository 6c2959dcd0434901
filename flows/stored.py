"""Runs that have all their results in the store already: no Prefect server is started for them."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from prefopt_core.store.outcome import Outcome
from tasks.progress import Observer
from tasks.session import NotStored, Session, session

R = TypeVar("R")


def from_store(call: Callable[[], R], how: Session) -> R | None:
    """The result of a run whose every stage is a hit; None if one is not, and nothing is done.

    Args:
        call: Runs it.
        how: The session of the run; its observer hears of the stages when all are known to hit.
    """
    told = _Recorder()
    try:
        with session(replace(how, observer=told, stored_only=True)):
            result = call()
    except NotStored:
        return None
    if how.observer:
        told.tell(how.observer)
    return result


class _Recorder:
    """An `Observer` that keeps what it is told for another."""

    def __init__(self) -> None:
        self._told: list[Callable[[Observer], None]] = []

    def started(self, stage: str) -> None:
        """Kept."""
        self._told.append(lambda observer: observer.started(stage))

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Not kept: it is over."""

    def finished(self, stage: str, outcome: Outcome) -> None:
        """Kept."""
        self._told.append(lambda observer: observer.finished(stage, outcome))

    def noticed(self, text: str) -> None:
        """Kept."""
        self._told.append(lambda observer: observer.noticed(text))

    def tell(self, observer: Observer) -> None:
        """Tell another observer all of it, in the same order."""
        for call in self._told:
            call(observer)
