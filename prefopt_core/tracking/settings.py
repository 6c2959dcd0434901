"""Settings of the section `tracking`."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from prefopt_core.ground.settings import Config
from prefopt_core.tracking.trackers import ready


class TrackingConfig(Config):
    """Where the figures of training and rounds go while a run goes on; no result depends on it."""

    report_to: tuple[Literal["mlflow", "tensorboard", "trackio", "wandb"], ...] = Field(
        (), description="Trackers, of which each gets one run per run; left out: none."
    )
    project: str | None = Field(
        None,
        min_length=1,
        description="Of wandb and trackio; the experiment of mlflow. Left out: as WANDB_PROJECT, "
        "TRACKIO_PROJECT and MLFLOW_EXPERIMENT_NAME say, else prefopt.",
    )

    @field_validator("report_to", mode="before")
    @classmethod
    def _one_or_more(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    def check(self) -> Iterator[str]:
        """See that the trackers are installed, and have what they need to log in.

        Raises:
            ConfigError: They are not, or lack it.
        """
        ready(self.report_to)
        yield from ()
