"""Settings of the section `execution`: where shards are computed, and how many at once."""

import os
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.settings import Config


class Resources(Config):
    """What one worker of a stage takes; stages that take the same share workers."""

    cpus: int = Field(1, ge=1, description="Cores: threads of one worker.")
    gpus: float = Field(
        0, ge=0, description="GPUs: a whole number, or a part of one that workers share, as 0.25."
    )

    @field_validator("gpus")
    @classmethod
    def _whole_or_part(cls, gpus: float) -> float:
        if gpus > 1 and gpus != int(gpus):
            raise ConfigError(f"{gpus} is neither a part of a GPU nor a number of GPUs.")
        return gpus


class ExecutionConfig(Config):
    """Where shards are computed; no result depends on it, no cache key, name or budget."""

    runner: Literal["inline", "processes", "ray"] = Field(
        "inline",
        description="'inline': one after the other in the process of the run; 'processes': at once "
        "in several on this machine; 'ray': on a Ray cluster.",
    )
    workers: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="At most, per stage; 'auto': as many as `stages` has room for."
    )
    address: str | None = Field(
        None,
        description="Of the Ray cluster: 'auto' or host:port joins one; left out, one is started "
        "here for the run.",
    )
    attempts: int = Field(
        4, ge=1, description="Per shard, over workers that die; an error is not tried again."
    )
    overlap: bool = Field(
        True,
        description="Whether an annotator or server is asked while this process computes; 'false': "
        "one stage after the other.",
    )
    stages: dict[str, Resources] = Field(
        {},
        description="Stage → what one worker of it takes, such as `generate: {gpus: 1, cpus: 4}`; "
        "else one core and no GPU. A stage that has no shards is sent to a worker if it is here.",
    )

    @model_validator(mode="after")
    def _said_where_it_counts(self) -> Self:
        if self.address is not None and self.runner != "ray":
            raise ConfigError(
                f"`address` is of a Ray cluster, and `runner` is {self.runner!r}. Set the latter "
                "to 'ray', or leave the former out."
            )
        return self

    def of(self, stage: str) -> Resources:
        """What one worker of a stage takes."""
        return self.stages.get(stage, Resources())

    def check(self) -> Iterator[str]:
        """Doubts: Ray is not installed; here are GPUs, and no stage is given one."""
        if self.runner == "ray":
            yield from map(str, no_extra("ray", "ray"))
        if self.runner == "processes" and not any(r.gpus for r in self.stages.values()):
            count = len(visible_gpus())
            if count:
                yield (
                    f"no stage is given any of the {count} GPUs of this machine, so workers use "
                    "none. Set `execution.stages: {generate: {gpus: 1}, score: {gpus: 1}}`."
                )


def visible_gpus() -> list[str]:
    """The GPUs of this machine that this process sees, as CUDA_VISIBLE_DEVICES names them."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [each.strip() for each in said.split(",") if each.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]
