"""Who is told of the progress of stages: observers, and of a long one Prefect."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field
from typing import Protocol, cast
from uuid import UUID

from prefopt_core.store.outcome import Outcome

log = logging.getLogger(__name__)

_LONG_S = 5.0
"""A stage that runs longer than this gets a progress artifact."""


class Observer(Protocol):
    """Receives the start, the progress callbacks and the outcome of every stage."""

    def started(self, stage: str) -> None:
        """Called when a stage starts."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Progress callback: `done` of `total` units of the stage are finished."""

    def finished(self, stage: str, outcome: Outcome) -> None:
        """Called when a stage has its result."""

    def noticed(self, text: str) -> None:
        """Called when something doubtful is found."""


@dataclass
class ProgressArtifact:
    """Is called with (done, total), and shows that in Prefect, at most once a second."""

    stage: str
    started: float = field(default_factory=time.monotonic)
    shown: float = 0.0
    artifact: UUID | None = None

    def __call__(self, done: int, total: int) -> None:
        """The progress callback."""
        try:
            self._show(done, total)
        except Exception as error:  # no failure of the Prefect server may end the stage
            log.debug("progress of %s is not shown: %s", self.stage, error)
            self.started = math.inf  # nor delay it again

    def _show(self, done: int, total: int) -> None:
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        now = time.monotonic()
        finished = done == total and self.artifact is not None
        if now - self.started < _LONG_S or (now - self.shown < 1.0 and not finished):
            return
        percent, self.shown = 100 * done / total, now
        if self.artifact is None:
            made = create_progress_artifact(progress=percent, description=self.stage)
            self.artifact = cast(UUID, made)
        else:
            update_progress_artifact(artifact_id=self.artifact, progress=percent)
