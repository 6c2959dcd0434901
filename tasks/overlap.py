"""Stages side by side: those of a block run each as soon as its inputs are there, shard by shard.

Where a stage is computed, it takes its turn, as stages are called; only between these places is
anything done at once:

here       what asks a server or calls a user's function: in the thread of the run, as ever
beside     what is computed in this process, which holds one model at a time, or by its workers: in
           a second thread

What pays starts when all that was to pay before has ended, so that a budget runs out as ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, fields, replace
from threading import Thread
from typing import Any, TypeVar, cast

from prefopt_core.ground.errors import AwaitingLabelsError
from prefopt_core.ground.settings import Backend, asks_a_server
from prefopt_core.labels.asked import Asked
from prefopt_core.store.coming import Coming, StoppedError
from prefopt_core.store.stage import Stage
from tasks.session import Session, current_session, notice, planning, session
from tasks.stage import compute, workers_for

T = TypeVar("T")

_MOMENT_S = 1.0
"""How long to wait for a stage that is to end, before that is said."""


@dataclass(frozen=True)
class _Call:
    """A stage that was called within the block."""

    spec: Stage
    arguments: Mapping[str, Any]
    session: Session
    coming: Coming
    after: Coming | None

    @property
    def here(self) -> bool:
        """Whether it runs in the thread of the run."""
        if workers_for(self.spec, self.session, self.arguments):
            return False
        configs = [each for each in self.arguments.values() if isinstance(each, Backend)]
        # A function of a bench world has no colon, and answers at once.
        return any(
            asks_a_server(each) or ":" in str(each.params.get("function", "")) for each in configs
        )

    def inputs(self) -> dict[str, Any]:
        """The arguments, as soon as it can begin."""
        if self.after:
            self.after.wait()
        if not self.spec.by_shard:
            return {name: settled(value) for name, value in self.arguments.items()}
        for value in self.arguments.values():
            if isinstance(value, Coming):
                _ = value.parts
        return dict(self.arguments)


class Beside:
    """The stages that were called within a block, and how they run at its end.

    Attributes:
        calls: In the order of the algorithm.
    """

    def __init__(self, *, at_once: bool, but: tuple[type[Exception], ...]) -> None:
        self.calls: list[_Call] = []
        self._at_once, self._but = at_once, but
        self._payer: Coming | None = None
        self._error: BaseException | None = None
        self._stopped = False
        self._running: list[str] = []

    def call(self, spec: Stage, arguments: Mapping[str, Any], session: Session) -> Coming:
        """Note a call; what it returns stands in for its result."""
        coming = Coming(spec.name)
        pays = spec.labels is not None or any(
            isinstance(each, Backend) and asks_a_server(each) for each in arguments.values()
        )
        self.calls.append(_Call(spec, arguments, session, coming, self._payer if pays else None))
        self._payer = coming if pays else self._payer
        return coming

    def run(self) -> None:
        """Run what was called.

        Raises:
            BaseException: What the first of them that failed has raised; the others were stopped.
        """
        here = [call for call in self.calls if call.here]
        others = [call for call in self.calls if not call.here]
        if not (self._at_once and here and others):
            self._in_turn(self.calls)
        else:
            context = copy_context()
            thread = Thread(target=context.run, args=(self._in_turn, others), daemon=True)
            thread.start()
            try:
                self._in_turn(here)
                self._wait_for(thread)
            except BaseException as error:  # Ctrl-C between two stages, or while it waits
                if self._stopped:  # the second one
                    raise
                self._fail(error)
                self._wait_for(thread)
        if self._error:
            raise self._error

    def _wait_for(self, thread: Thread) -> None:
        """Wait until it has ended; say what for where nothing is to come of it any more."""
        if self._stopped:
            thread.join(_MOMENT_S)
        if self._stopped and thread.is_alive():
            names = " and ".join(self._running)
            notice(
                f"Waits for {names} to come to the end of a batch, and ends then. Ctrl-C now ends "
                "it at once; the same command goes on from what is stored.",
                self.calls[0].session,
            )
        thread.join()

    def _in_turn(self, calls: list[_Call]) -> None:
        for call in calls:
            self._running.append(call.spec.name)
            try:
                self.check(0, 1)
                outcome = compute(call.spec, call.inputs(), call.session, self.check, call.coming)
                call.coming.end(outcome.value)
            except self._but as error:
                call.coming.stop(error)
            except BaseException as error:  # of any kind: others wait for it
                call.coming.stop()
                self._fail(error)
            self._running.remove(call.spec.name)

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, StoppedError):
            return
        if self._error is None or isinstance(self._error, AwaitingLabelsError):
            self._error = error
        if isinstance(error, AwaitingLabelsError):  # nothing failed: the others are wanted
            return
        self._stopped = True
        for call in self.calls:
            call.coming.stop()

    def check(self, done: int, total: int) -> None:
        """End the stage that reports its progress, if another one has failed.

        Raises:
            StoppedError: It has.
        """
        if self._stopped:
            raise StoppedError("it was ended, as another stage could not go on")


@contextmanager
def overlapping(*but: type[Exception]) -> Iterator[None]:
    """Within the block, stages are only noted; at its end they run, side by side where they can.

    What they return stands in for tables, for other stages of the block; `settled` has the tables.
    Without `execution.overlap` they run one after the other. While planning, and where results are
    only looked up, nothing is noted.

    Args:
        but: Errors that end one stage and no other; `settled` raises them.
    """
    current = current_session()
    if current.stored_only or planning():
        yield
        return
    beside = Beside(at_once=current.overlap, but=but)
    with session(replace(current, beside=beside)):
        yield
    beside.run()
    if current.part:
        current.part.made.extend(made for call in beside.calls if (made := call.coming.made))


def settled(value: T) -> T:
    """A value with the tables themselves in the place of what stood in for them.

    Raises:
        Exception: One that ended only the stage of such a table.
    """
    if isinstance(value, Coming):
        return cast(T, value.value)
    if isinstance(value, list | tuple):
        return cast(T, type(value)(map(settled, value)))
    if isinstance(value, Asked):
        parts = {field.name: settled(getattr(value, field.name)) for field in fields(value)}
        return cast(T, replace(value, **parts))
    return value
