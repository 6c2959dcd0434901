"""Progress of a long stage, shown in Prefect."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

log = logging.getLogger(__name__)

_LONG_S = 5.0
"""A stage that runs longer than this gets a progress artifact."""


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
