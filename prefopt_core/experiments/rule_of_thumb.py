"""What stages take of which the store has no earlier ones: by parameters and tokens alone.

Notation: P parameters of a model, an operation a multiplication or an addition.

    written, read      2 P operations per token
    trained            6 P per token of both responses and their prompt; 4 P with adapters, whose
                       frozen weights get no gradients; 2 P more with gradient checkpointing, and
                       again with de-coupled noise detection, which reads the reference model
    a GPU              an A100: 312 · 10¹² operations a second in 16 bits, of which writing reaches
                       10 %, reading and training 40 %
    tokens             200 of a prompt; of a response as many as it may have

The shares are what well-filled batches reach; small models and small batches stay below.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.capacity import (
    GIB,
    Parameters,
    Sizes,
    parameters_of,
    policy_folder,
    sizes_of,
)
from prefopt_core.experiments.extents import Extent, Planned, extents_of
from prefopt_core.training.settings import TrainingConfig

_SPEED = 312e12
_WRITING, _READING = 0.1, 0.4
_PROMPT = 200
_LEAST = 0.05
"""GPU hours that are worth a line."""


def by_rule_of_thumb(
    stages: Sequence[Planned], without: Sequence[Planned], experiment: Experiment
) -> Iterator[str]:
    """What some stages of a plan take, a line each of GPU hours, tokens, disk and GPU memory.

    Args:
        stages: The whole plan.
        without: Those of its stages of which nothing earlier is known.
        experiment: The config.

    Returns:
        Nothing where the models' sizes are not known, or all of it takes minutes.
    """
    wanted = {id(stage) for stage in without}
    hours: dict[str, float] = defaultdict(float)
    tokens: dict[str, float] = defaultdict(float)
    models: dict[str, Parameters] = {}
    unsized: list[str] = []
    for stage, extent in extents_of(stages):
        work = _work(stage, extent, experiment) if id(stage) in wanted else None
        if work is None:
            continue
        if extent.rows is None or work.model is None:
            unsized.append(stage.stage)
            continue
        tokens[work.kind] += work.tokens
        hours[stage.stage] += work.hours(work.model)
        models[work.model.of] = work.model
    if sum(hours.values()) >= _LEAST:
        yield _time(hours, list(models.values()), unsized)
        every = ", ".join(f"{tokens[kind] / 1e6:,.1f} M {kind}" for kind in tokens)
        yield f"Tokens: at most {every}, with {_PROMPT} of each prompt."
        yield from _room(sizes_of(experiment, policy_folder(experiment)))


def _time(hours: dict[str, float], models: Sequence[Parameters], unsized: Sequence[str]) -> str:
    largest = sorted(hours.items(), key=lambda each: -each[1])
    named = ", ".join(f"{name} {_hours(took)}" for name, took in largest if took >= _LEAST)
    sizes = "; ".join(model.said for model in models)
    but = f" Not counted, as their sizes are not known: {', '.join(dict.fromkeys(unsized))}."
    return (
        f"GPU: about {_hours(sum(hours.values()))} hours of an A100 ({named}), by a rule of thumb "
        "that may be off by a factor of 3: 2·P operations per token written or read, 6·P trained; "
        f"{_WRITING * 100:.0f} % (writing, by vLLM) and {_READING * 100:.0f} % of its "
        f"{_SPEED / 1e12:.0f} TFLOP/s are reached. {sizes}.{but if unsized else ''}"
    )


def _hours(count: float) -> str:
    return f"{count:,.0f}" if count >= 10 else f"{count:.1f}"


def _room(takes: Sizes) -> Iterator[str]:
    if takes.training:
        yield (
            f"Room: up to {takes.disk / GIB:,.0f} GiB on the disk ({takes.policies} × "
            f"{takes.policy / GIB:,.1f} of policies, {takes.checkpoints / GIB:,.0f} of checkpoints)"
            f"; in training {takes.training / GIB:,.1f} GiB of each GPU, and activations."
        )


@dataclass(frozen=True)
class _Work:
    """What happens to how many tokens, operations per parameter for each, and whose parameters."""

    kind: str
    tokens: float
    operations: float
    model: Parameters | None

    def hours(self, model: Parameters) -> float:
        reached = _SPEED * (_WRITING if self.kind == "written" else _READING)
        return self.operations * model.count * self.tokens / reached / 3600


def _work(stage: Planned, extent: Extent, experiment: Experiment) -> _Work | None:
    """That of a stage that runs a model; None: it runs none here."""
    config: Any = stage.arguments.get("config")
    response = _longest(config) or _longest(experiment.generation)
    rows, policy = extent.rows or 0.0, parameters_of(experiment)
    read = rows * (_PROMPT + response)
    match stage.stage:
        case "generate" if config.generator in ("transformers", "vllm"):
            return _Work("written", rows * response, 2 * (1 + _PROMPT / response), policy)
        case "score" | "embed_by_policy":
            return _Work("read", read, 2, policy)
        case "score_preferences":
            return _Work("read", 2 * read, 2, policy)
        case "annotate" | "grade" if name := config.params.get("model"):
            return _Work("read", read, 2, Parameters.named(name))
        case "train":
            return _Work("trained", 2 * read, _per_token(config), policy)
    return None


def _per_token(config: TrainingConfig) -> float:
    operations = 4 if config.lora else 6
    detects = bool(config.params.get("extrapolation"))  # of a round: its own, no schedule
    return operations + 2 * config.gradient_checkpointing + 2 * detects


def _longest(config: Any) -> int:
    return int(getattr(config, "params", {}).get("max_new_tokens") or 0)
