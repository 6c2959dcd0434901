"""Settings of `training.launch`: how many GPUs train a policy, and how they share it."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.ground.settings import Config

SHARDED = ("fsdp", "zero3")
"""Strategies under which a GPU holds a part of the weights."""


class LaunchConfig(Config):
    """On how many GPUs a policy is trained, and how they share it, by `accelerate launch`."""

    processes: int = Field(1, ge=1, description="GPUs to train on, those of all machines together.")
    machines: SpeedOnly[int] = Field(
        1, ge=1, description="Machines, with equally many of the GPUs each and one store for all."
    )
    address: SpeedOnly[str | None] = Field(
        None,
        pattern=r"^[^\s:/]+:\d+$",
        description="Of several machines: HOST:PORT of one of them, where the others find it.",
    )
    starter: SpeedOnly[tuple[str, ...]] = Field(
        (),
        description="Of several machines: the command that starts what follows once on each, as "
        "[srun, --nodes=2, --ntasks-per-node=1].",
    )
    strategy: Literal["ddp", "fsdp", "zero2", "zero3"] = Field(
        "ddp",
        description="ddp: each GPU holds all. fsdp, zero3: it holds a part of weights, gradients "
        "and optimiser. zero2: all of the weights. zero2 and zero3 need DeepSpeed.",
    )
    offload: bool = Field(
        False,
        description="Keep what a GPU holds in the machine's memory, and the optimiser, too: less "
        "GPU memory, much slower. Not with ddp.",
    )

    @model_validator(mode="after")
    def _fits_the_machines(self) -> Self:
        if self.processes % self.machines:
            raise ConfigError(
                f"{self.processes} processes cannot be shared by {self.machines} machines. Make "
                f"`processes` a multiple of {self.machines}: it counts those of all machines."
            )
        if self.machines > 1 and not (self.address and self.starter):
            raise ConfigError(
                "Several machines need `address`, HOST:PORT of one of them, and `starter`, the "
                "command that starts the training on each, as [srun, --ntasks-per-node=1]."
            )
        if self.offload and self.strategy == "ddp":
            raise ConfigError(
                "`offload` is for what GPUs share. Set `strategy` to 'fsdp', 'zero2' or 'zero3'."
            )
        return self

    @property
    def shards(self) -> int:
        """Parts into which the weights are cut; 1: each GPU holds them all."""
        return self.processes if self.strategy in SHARDED else 1

    @property
    def alone(self) -> bool:
        """Whether the process of the run trains by itself."""
        return self.processes == 1 and self.strategy == "ddp"

    def check(self) -> Iterator[str]:
        """Look whether DeepSpeed is installed where it is asked for."""
        if self.strategy.startswith("zero"):
            yield from no_extra("deepspeed", "deepspeed")
