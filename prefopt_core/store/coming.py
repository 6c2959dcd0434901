"""What a stage is still making, as the stages behind it take it: shard by shard."""

from collections.abc import Callable, Mapping
from threading import Condition
from typing import Any

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.store.artifacts import Artifact, Folder


class StoppedError(PrefoptError):
    """A stage was ended because of another one, which has its own error."""


class Coming:
    """Stands in for the table or folder of a stage that runs beside others.

    One thread makes it, any number of threads wait for it.

    Attributes:
        stage: Name of the stage.
        made: All of it; None before it has ended.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._changed = Condition()
        self._parts: int | None = None
        self._shards: dict[int, Artifact] = {}
        self.made: Artifact | Folder | None = None
        self._stopped: Exception | None = None
        self._then: list[Callable[[Artifact | Folder], None]] = []

    # --- who makes it -------------------------------------------------------------------------

    def begin(self, parts: int) -> None:
        """Say how many shards there will be."""
        with self._changed:
            self._parts = parts
            self._changed.notify_all()

    def put(self, number: int, output: Artifact | Folder) -> None:
        """Say that a shard is in the store."""
        with self._changed:
            if isinstance(output, Artifact):
                self._shards[number] = output
            self._changed.notify_all()

    def end(self, value: Artifact | Folder) -> None:
        """Say that all of it is in the store; of what did not `begin` that is the first word."""
        for heard in self._then:
            heard(value)
        with self._changed:
            self.made = value
            if self._parts is None and isinstance(value, Artifact):
                self._parts = value.parts
                self._shards = {number: value.shard(number) for number in range(value.parts)}
            self._changed.notify_all()

    def stop(self, error: Exception | None = None) -> None:
        """Say that no more of it is made, if it is not whole, and by which error."""
        with self._changed:
            told = StoppedError(f"it was ended, as {self.stage} could not go on")
            self._stopped = self._stopped or error or told
            self._changed.notify_all()

    def then(self, heard: Callable[[Artifact | Folder], None]) -> None:
        """Have a function called with all of it, before those hear that wait for all of it."""
        self._then.append(heard)

    # --- who waits for it ---------------------------------------------------------------------

    @property
    def parts(self) -> int:
        """How many shards there will be; waits until that is known.

        Raises:
            Exception: It is not made any more.
        """
        self._wait_until(lambda: self._parts is not None)
        assert self._parts is not None
        return self._parts

    def shard(self, number: int) -> Artifact:
        """A shard, as a table of one; waits until it is in the store.

        Raises:
            Exception: It is not made any more.
        """
        self._wait_until(lambda: number in self._shards)
        return self._shards[number]

    @property
    def value(self) -> Artifact | Folder:
        """All of it; waits until it is in the store.

        Raises:
            Exception: It is not made any more.
        """
        self._wait_until(lambda: self.made is not None)
        assert self.made is not None
        return self.made

    def wait(self) -> None:
        """Wait until it has ended in any way."""
        with self._changed:
            self._changed.wait_for(lambda: self.made is not None or self._stopped is not None)

    def _wait_until(self, there: Callable[[], bool]) -> None:
        with self._changed:
            self._changed.wait_for(lambda: there() or self._stopped is not None)
            if not there() and self._stopped is not None:
                raise self._stopped


def tables_in(arguments: Mapping[str, Any]) -> dict[str, Artifact | Coming]:
    """The arguments that are tables, or will be."""
    return {n: value for n, value in arguments.items() if isinstance(value, Artifact | Coming)}
