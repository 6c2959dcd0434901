"""Settings of the section `training`: each with its default and where that comes from."""

from collections.abc import Iterator
from math import ceil
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import to_jsonable_python

from prefopt_core.ground.errors import ConfigError, Lacking
from prefopt_core.ground.extras import no_extra
from prefopt_core.ground.registry import Registry, SpeedOnly
from prefopt_core.ground.settings import Backend, Config
from prefopt_core.training import LOSSES
from prefopt_core.training.launch_settings import LaunchConfig

OUTPUT_LAYERS = ("lm_head", "embed_out", "output_layer")
"""What models call it; `checks.check_targets` knows that of the model itself."""
_NEEDS = {
    "quantize": ("bitsandbytes", "quantize"),
    "attention": ("flash_attn", "flash"),
    "liger": ("liger_kernel", "liger"),
}
"""Setting → the module that it needs when it is used, and the extra that brings it."""


class LoraConfig(Config):
    """LoRA: low-rank adapters, arXiv:2106.09685, which need little memory to train."""

    r: int = Field(64, ge=1, description="Rank; 64 in AEPO.")
    alpha: int = Field(16, ge=1, description="Adapters are scaled by alpha / r; 16 in AEPO.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout in front of the adapters.")
    target_modules: str | tuple[str, ...] = Field(
        "all-linear", description="Names of adapted layers; all but the output layer by default."
    )
    merge: bool = Field(
        True,
        description="true: a round ends with whole weights, and the next one starts new adapters "
        "on them. false: it ends with the adapters alone, and the next one trains them further; "
        "no weights are written, and vLLM keeps those it has.",
    )

    @field_validator("target_modules")
    @classmethod
    def _not_the_output(cls, names: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (names,) if isinstance(names, str) else names:
            if name.rpartition(".")[2] in OUTPUT_LAYERS:
                raise ValueError(
                    f"{name!r} is the output layer, which cannot be adapted here. Leave it out, or "
                    "train all weights (`training.lora: null`)."
                )
        return names


class TrainingConfig(Backend):
    """How a policy learns from preference pairs; defaults as in SPA (arXiv:2406.04412), but DPO."""

    registry: ClassVar[Registry[Any]] = LOSSES
    choice: ClassVar[str] = "loss"

    loss: str = Field("dpo", description="A name from `prefopt list losses`.")
    beta: float = Field(0.1, gt=0, description="How close to its start the policy stays.")
    sft: float = Field(
        0.0,
        ge=0,
        description="Weight of the chosen responses' own loss per token beside the pairs' (TRL's "
        '["sigmoid", "sft"]): keeps them likely, and the policy nearer to its text.',
    )
    learning_rate: float = Field(5e-7, gt=0, description="Peak; 1e-6 with LoRA in AEPO.")
    scheduler: Literal["cosine", "linear", "constant_with_warmup"] = Field(
        "cosine", description="How the learning rate falls after its warm-up."
    )
    learning_rate_warm_up: float = Field(
        0.1, ge=0, lt=1, description="Share of the steps in which the learning rate rises."
    )
    epochs: float = Field(1.0, gt=0, description="Passes over the pairs; 3 on the seed in SPA.")
    steps: int | None = Field(None, ge=1, description="Optimiser steps, in place of `epochs`.")
    batch_size: int = Field(32, ge=1, description="Pairs per optimiser step, all GPUs together.")
    micro_batch_size: int = Field(
        4, ge=1, description="Pairs per forward pass and GPU: less memory against less speed."
    )
    max_length: int = Field(
        2048, ge=2, description="Tokens of prompt and response; longer pairs stop the run."
    )
    optimizer: Literal["adamw_torch", "adamw_torch_fused", "rmsprop", "adafactor", "sgd"] = Field(
        "adamw_torch", description="AdamW in SPA, RMSprop in AEPO; adafactor needs least memory."
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are scaled down to this norm.")
    momentum: float = Field(
        0.0,
        ge=0,
        description="α of accelerated preference optimisation (arXiv:2410.06293): a round's policy "
        "goes so many times further in the direction in which training has moved since the round "
        "before; 0: not at all.",
    )
    lora: LoraConfig | None = Field(None, description="Train adapters in place of all weights.")
    save_dtype: Literal["float32", "start"] = Field(
        "float32",
        description="Of the weights that a round ends with and the next one starts from. They are "
        "trained in float32; start: rounded to the dtype they came in. 16 bits halve disk and "
        "memory, and round small steps away: the report says how much of the margin is left. With "
        "LoRA, `lora.merge: false` leaves 16-bit weights as they are and loses nothing.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations: much less memory, a third slower."
    )
    save_every: SpeedOnly[int] = Field(
        100, ge=1, description="Steps between checkpoints to resume from."
    )
    quantize: Literal["nf4"] | None = Field(
        None,
        description="nf4: hold the weights under LoRA's adapters in 4 bits (QLoRA, "
        "arXiv:2305.14314): a quarter of the memory of 16 bits, and slower. Rewards are then "
        "relative to these weights; saved is what the adapters make of the unquantised ones.",
    )
    attention: Literal["auto", "eager", "sdpa", "flash"] = Field(
        "auto",
        description="How attention is computed; auto: torch's own (sdpa) where the model can. "
        "flash: by the package flash-attn.",
    )
    liger: bool = Field(
        False, description="Liger's kernels for norms, rotations and activations; CUDA only."
    )
    launch: LaunchConfig = Field(
        default_factory=LaunchConfig, description="Several GPUs, or several machines."
    )

    @model_validator(mode="before")
    @classmethod
    def _processes_are_launched(cls, data: Any) -> Any:
        """The number of processes stood beside the other settings once."""
        if not isinstance(data, dict) or "processes" not in data:
            return data
        rest, launch = dict(data), data.get("launch") or {}
        processes = rest.pop("processes")
        if not isinstance(launch, dict) or launch.get("processes", processes) != processes:
            raise ConfigError("`processes` is an older name of `launch.processes`: leave it out.")
        return rest | {"launch": {"processes": processes} | launch}

    @model_validator(mode="after")
    def _quantised_is_adapted(self) -> Self:
        if self.quantize and (self.lora is None or self.launch.strategy != "ddp"):
            raise ConfigError(
                "`quantize` holds weights that do not move, and each GPU holds all of them: set "
                "`lora`, as {r: 64}, and leave `launch.strategy` at 'ddp'."
            )
        return self

    @model_validator(mode="after")
    def _detection_sees_the_output_layer(self) -> Self:
        if self.loss == "noise_aware" and self.launch.strategy == "zero3":
            raise ConfigError(
                "`loss: noise_aware` reads the output layer, of which zero3 leaves no process all. "
                "Set `launch.strategy` to 'fsdp' or 'zero2', or `loss` to 'dpo'."
            )
        return self

    @model_validator(mode="after")
    def _momentum_is_of_weights(self) -> Self:
        if self.momentum and self.lora and not self.lora.merge:
            raise ConfigError(
                "`momentum` adds up weights, and products of adapters are of no small rank. Set "
                "`lora.merge: true`, or `momentum: 0`."
            )
        return self

    @model_validator(mode="after")
    def _batches_split(self) -> Self:
        processes = self.launch.processes
        parts = self.micro * processes
        if self.batch_size % parts:
            raise ValueError(
                f"batch_size={self.batch_size} cannot be split over {processes} "
                f"{'processes' if processes > 1 else 'process'} with "
                f"micro_batch_size={self.micro}. Make it a multiple of {parts}."
            )
        return self

    @property
    def weighs_judges(self) -> bool:
        """Whether a label counts as far as two judges agree."""
        return self.loss == "cream"

    @property
    def micro(self) -> int:
        """Pairs of one forward pass: `micro_batch_size`, or what a process has of a batch."""
        return min(self.micro_batch_size, max(1, self.batch_size // self.launch.processes))

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without newer settings, such as `quantize`, where these are defaults."""
        launch = {**part["launch"]}
        old = {**part, "processes": launch.pop("processes")}
        old["launch"] = {n: v for n, v in launch.items() if v != _default(LaunchConfig, n)}
        if not old["launch"]:
            del old["launch"]
        for name in ("quantize", "attention", "liger", "momentum"):
            if old[name] == _default(TrainingConfig, name):
                del old[name]
        return old

    def check(self) -> Iterator[str]:
        """Doubts whether this machine has what the settings need; and see `Registry.check`."""
        yield from super().check()
        wanted = [name for name in _NEEDS if getattr(self, name) in ("nf4", "flash", True)]
        for name in wanted:
            yield from no_extra(*_NEEDS[name])
        if wanted and not _has_cuda():
            yield Lacking(
                f"{', '.join(wanted)} needs an NVIDIA GPU with CUDA, and this machine has none. "
                "Run it where there is one, or leave that out."
            )

    def key_part(self) -> Any:
        """The cache key, without `lora.merge` if it is true, and settings at newer defaults.

        That was the only way before these settings existed; so keys from then stay valid.
        `momentum` comes after training and is in the key of that stage.
        """
        part = super().key_part() | {"momentum": 0.0}
        if self.lora and self.lora.merge:
            del part["lora"]["merge"]
        return self.without_news(part | {"launch": self.launch.key_part()})

    def for_round(self, number: int, epochs: float | None = None) -> "TrainingConfig":
        """These settings in self-labelled round `number`, from 1: schedules become their value.

        A schedule that is shorter than the run keeps its last value; what has no schedule any more
        stays as it is. `epochs` are the round's own.
        """
        schedules = {name: v for name, v in self.params.items() if isinstance(v, list | tuple)}
        now = {name: values[min(number, len(values)) - 1] for name, values in schedules.items()}
        own = {} if epochs is None else {"epochs": epochs, "steps": None}
        return self.model_copy(update={"params": self.params | now, **own})

    def steps_on(self, pairs: float) -> int:
        """Optimiser steps on so many pairs."""
        return self.steps or ceil(self.epochs * ceil(pairs / self.batch_size))


def _default(section: type[Config], name: str) -> Any:
    return to_jsonable_python(section.model_fields[name].default)


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()
