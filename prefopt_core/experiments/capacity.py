"""Whether disk and memory hold what a run makes of its start policy, by the sizes of its tensors.

Notation: P parameters, T of them trained (all, or LoRA's r · (in + out) per adapted layer).

    policy        4 P bytes, or what P takes as it came (`save_dtype: start`); an adapter 4 T
    checkpoint    (4 + s) T bytes, s = 8 of AdamW, 4 of RMSprop, 0 of Adafactor and SGD
    training      weights + (4 + s) T bytes: gradients and optimiser; activations come on top.
                  A GPU has its part of what the strategy cuts; nf4 takes 0.52 bytes of a linear
                  layer's weight. What is offloaded is in the machine's memory, not counted here.

Of a model that is not on this machine P is what its name says, such as 7B, its weights have 16
bits, and T of LoRA is 0.8 r P^(2/3), within 15 % for Mistral-7B, Qwen2.5-0.5B and Llama-70B.
"""

import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prefopt_core.experiments.base import Experiment, Iterated
from prefopt_core.models.fitness import EMBEDDINGS, shapes_in
from prefopt_core.training.settings import OUTPUT_LAYERS, LoraConfig, TrainingConfig

GIB = 2**30
_STATE = {"adamw_torch": 8, "adamw_torch_fused": 8, "rmsprop": 4, "adafactor": 0, "sgd": 0}
"""Optimiser → bytes per trained parameter of its state."""
_NF4 = 0.52
"""Bytes of a weight in 4 bits, with its part of the scales, which are quantised again."""
_CHECKPOINTS = 3
"""Two that are whole, and the one that is being written."""
_LAYERS = 7
"""Matrices of a block that LoRA can adapt: four of attention, three of the rest."""
_SAID = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)([bm])(?![a-z])")
_PER_TOKEN = 8
"""Bytes of a sampled token: its id, and about four of text."""


@dataclass(frozen=True)
class Sizes:
    """Bytes that a run takes at most on the disk, at least in memory.

    Attributes:
        policies: How many policies it trains.
        policy: Of each on the disk.
        checkpoints: Of those of one training.
        responses: Of all that is generated.
        training: In the memory of each GPU, or of the machine.
    """

    policies: int
    policy: int
    checkpoints: int
    responses: int
    training: int

    @property
    def disk(self) -> int:
        """Of the whole run."""
        return self.policies * self.policy + self.checkpoints + self.responses


@dataclass(frozen=True)
class Parameters:
    """How many parameters a model has, and what says so.

    Attributes:
        of: Its folder or hub id.
        count: How many.
        said: A sentence without its full stop.
    """

    of: str
    count: float
    said: str

    @classmethod
    def named(cls, model: str) -> Self | None:
        """Those of a model by its name; None if that has no such number.

        >>> Parameters.named("HuggingFaceTB/SmolLM2-135M").count
        135000000.0
        """
        found = _SAID.search(model.rpartition("/")[2].lower())
        if found is None:
            return None
        count = float(found[1]) * (1e9 if found[2] == "b" else 1e6)
        return cls(model, count, f"{model} has {found[0].upper()} parameters by its name")


def policy_folder(experiment: Experiment) -> Path | None:
    """That of a start policy that lies on this machine."""
    name = _pretrained(experiment)
    return Path(name) if name and Path(name).is_dir() else None


def parameters_of(experiment: Experiment) -> Parameters | None:
    """Those of the start policy; None if neither a folder nor its name says so."""
    folder, name = policy_folder(experiment), _pretrained(experiment)
    if folder is None:
        return Parameters.named(name) if name else None
    count = sum(math.prod(shape) for _, shape in shapes_in(folder).values())
    return Parameters(str(folder), count, f"{folder} has {count / 1e9:,.2g} billion parameters")


def _pretrained(experiment: Experiment) -> str | None:
    policy = getattr(experiment, "policy", None)
    return policy.params["path"] if policy and policy.source == "pretrained" else None


def sizes_of(experiment: Experiment, folder: Path | None) -> Sizes:
    """What a run takes.

    Args:
        experiment: Its config.
        folder: Of the start policy; None: it is not here, and what is made of it is counted as far
            as its name says how large it is.

    Raises:
        ConfigError: The folder's weights cannot be read.
    """
    training: TrainingConfig | None = getattr(experiment, "training", None)
    responses = _responses(experiment)
    weights = _weights(experiment, folder, training) if training else None
    if weights is None or training is None:
        return Sizes(0, 0, 0, responses, 0)
    trained = weights.trained
    policy = weights.stored if training.save_dtype == "start" else 4 * weights.parameters
    if training.lora and not training.lora.merge:
        policy = 4 * trained
    state = 4 + _STATE[training.optimizer]
    saves = training.steps is None or training.steps >= training.save_every
    return Sizes(
        policies=_trainings(experiment),
        policy=policy,
        checkpoints=_CHECKPOINTS * state * trained * saves,
        responses=responses,
        training=_on_a_gpu(training, weights.held, state * trained, 4 * trained),
    )


@dataclass(frozen=True)
class _Weights:
    """Parameters, those that are trained; bytes as they came, and in memory without adapters."""

    parameters: int
    trained: int
    stored: int
    held: int


def _weights(
    experiment: Experiment, folder: Path | None, training: TrainingConfig
) -> _Weights | None:
    if folder is None:
        said = parameters_of(experiment)
        return _named(int(said.count), training) if said else None
    tensors = shapes_in(folder)
    shapes = {name: shape for name, (_, shape) in tensors.items()}
    files = {file for file, _ in tensors.values()}
    parameters, stored = sum(map(math.prod, shapes.values())), sum(f.stat().st_size for f in files)
    trained = _adapted(shapes, training.lora) if training.lora else parameters
    return _Weights(parameters, trained, stored, _held(shapes, training, stored))


def _named(parameters: int, training: TrainingConfig) -> _Weights:
    """Of a model of which no more is known than how large it is."""
    lora, stored = training.lora, 2 * parameters
    if lora is None:
        return _Weights(parameters, parameters, stored, 4 * parameters)
    named = lora.target_modules
    share = 1.0 if isinstance(named, str) else min(1.0, len(named) / _LAYERS)
    trained = int(0.8 * share * lora.r * parameters ** (2 / 3))
    held = int(_NF4 * parameters) if training.quantize else stored
    return _Weights(parameters, trained, stored, held)


def _held(shapes: dict[str, list[int]], training: TrainingConfig, stored: int) -> int:
    """Bytes of the weights in memory, without adapters."""
    parameters = sum(map(math.prod, shapes.values()))
    if not training.lora:
        return 4 * parameters
    if not training.quantize:
        return stored
    layers = sum(math.prod(s) for n, s in shapes.items() if len(s) == 2 and not _kept(n))
    return int(_NF4 * layers + stored * (1 - layers / parameters))


def _on_a_gpu(training: TrainingConfig, weights: int, state: int, adapters: int) -> int:
    """Bytes of one GPU's part."""
    weights += adapters if training.lora else 0
    if training.launch.offload:
        return weights if training.launch.strategy == "zero2" else 0
    parts = training.launch.processes if training.launch.strategy != "ddp" else 1
    return weights // training.launch.shards + state // parts


def _kept(name: str) -> bool:
    """Whether a matrix is embeddings or the output layer, which stay as they are."""
    return name.endswith(EMBEDDINGS) or name.split(".")[-2:][0] in OUTPUT_LAYERS


def too_large(experiment: Experiment, folder: Path | None, store: Path) -> Iterator[str]:
    """Doubts whether disk and memory are enough.

    Args:
        experiment: The config.
        folder: Of the start policy; None: it is not here.
        store: Where results go; it need not be there.
    """
    sizes = sizes_of(experiment, folder)
    place, free = free_at(store)
    if sizes.disk > free:
        policies = f"{sizes.policies} × {_gib(sizes.policy)} of policies, " if sizes.policy else ""
        yield (
            f"disk: what is not in the store yet takes up to {_gib(sizes.disk)} ({policies}"
            f"{_gib(sizes.checkpoints)} of checkpoints, {_gib(sizes.responses)} of responses), and "
            f"{_gib(free)} are free at {place}. Free some (`prefopt cache gc`), point "
            "PREFOPT_STORE at another disk, or set `training.save_dtype: start` or "
            "`training.lora.merge: false`."
        )
    memory, whose = _memory() if sizes.training else (0, "")
    if sizes.training > memory:
        yield (
            f"training: weights, gradients and the optimiser's state take {_gib(sizes.training)} "
            f"without activations, and {whose} has {_gib(memory)}. Set `training.lora` or "
            "`training.optimizer: adafactor`, or take a smaller policy or another machine."
        )


def free_at(store: Path) -> tuple[Path, int]:
    """The folder that is there on the way to a store, and the bytes free on its disk."""
    place = next(path for path in (store, *store.parents) if path.is_dir())
    return place, shutil.disk_usage(place).free


def _trainings(experiment: Experiment) -> int:
    if not isinstance(experiment, Iterated):
        return 1
    return len(experiment.rounds) + bool(getattr(experiment, "seed_preferences", None))


def _adapted(shapes: dict[str, list[int]], lora: LoraConfig) -> int:
    """Parameters of LoRA's adapters: r · (in + out) of each matrix that gets one."""
    named = lora.target_modules
    linear = {
        name.removesuffix(".weight"): shape
        for name, shape in shapes.items()
        if len(shape) == 2 and not name.endswith(EMBEDDINGS)
    }
    return sum(
        lora.r * sum(shape)
        for name, shape in linear.items()
        if (
            name.rpartition(".")[2] not in OUTPUT_LAYERS
            if isinstance(named, str)
            else name.rpartition(".")[2] in named
        )
    )


def _responses(experiment: Experiment) -> int:
    own, held_out = experiment.generation, experiment.evaluation
    prompts = experiment.wanted_prompts - experiment.test_prompts
    tokens = prompts * own.n * own.params.get("max_new_tokens", 0)
    if held_out:
        each = held_out.generation.n * held_out.generation.params.get("max_new_tokens", 0)
        tokens += experiment.test_prompts * each * (_trainings(experiment) + 1)
    return int(tokens) * _PER_TOKEN


def _memory() -> tuple[int, str]:
    """(bytes, whose they are) of a GPU, or of the machine if it has none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory, torch.cuda.get_device_name(0)
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    said = limit.read_text().strip() if limit.is_file() else ""
    return min(total, int(said) if said.isdigit() else total), "this machine"


def _gib(count: int) -> str:
    return f"{count / GIB:,.1f} GiB"
