"""Jobs: the parts of a stage as what travels to another process, names and references alone.

A job names its function and its store; nothing ambient goes along, and no table. The result is
committed where it is computed, so a job that two workers do, or one does twice, is harmless.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prefopt_core.ground.spending import Spending
from prefopt_core.store.artifacts import Artifact, Folder


@dataclass(frozen=True)
class Job:
    """A part of a stage that is not in the store.

    Attributes:
        stage: Name of the stage.
        function: Its function, as `package.module:function`.
        arguments: By name; references to tables and folders, configs, values.
        key: The cache key; a worker that comes to another one has other code or files.
        reason: Why it is computed, "refresh asked for" among others.
        store: The store that the result goes to.
        role: The part of the run that it is made for.
        number: Which of the parts it is, from 1.
        parts: How many there are.
    """

    stage: str
    function: str
    arguments: Mapping[str, Any]
    key: str
    reason: str
    store: str
    role: str
    number: int
    parts: int

    def __str__(self) -> str:
        shard = f", shard {self.number} of {self.parts}" if self.parts > 1 else ""
        return f"{self.stage}{shard}"


@dataclass(frozen=True)
class Done:
    """A finished job.

    Attributes:
        output: What is in the store now.
        reason: Why it was computed; "" if another process was faster.
        spent: What model servers were paid for.
    """

    output: Artifact | Folder
    reason: str
    spent: Spending


class Runner(Protocol):
    """Computes jobs in other processes."""

    def map(self, jobs: Sequence[Job]) -> Iterator[Done]:
        """Compute jobs of one stage; yields in their order.

        Raises:
            Exception: What one of them raised, once; the others may not be finished.
        """
