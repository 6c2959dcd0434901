"""What is checked before a training starts: its pairs, its model, and what LoRA adapts."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from transformers import AutoConfig, PretrainedConfig

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.models.folder import NO_CODE
from prefopt_core.models.positions import refuse_longer
from prefopt_core.training.settings import LoraConfig, TrainingConfig

logger = logging.getLogger(__name__)

IDS = ("prompt_token_ids", "chosen_token_ids", "rejected_token_ids")
LOGPS = ("ref_chosen_logps", "ref_rejected_logps")


def check_pairs(pairs: pl.DataFrame, start: Path, config: TrainingConfig) -> None:
    """Check that pairs can be trained on.

    Args:
        pairs: See `trl_dpo.train`.
        start: Model folder: the policy that training starts from.
        config: How to train.

    Raises:
        DataError: A column is missing, there are no pairs, values are missing or not finite, or a
            pair is longer than `config.max_length` or than the model's positions.
    """
    columns = [*IDS, *LOGPS, "source", "confidence"]
    if missing := sorted({*columns} - {*pairs.columns}):
        raise DataError(
            f"The pairs have no {', '.join(missing)}. Score the responses under the policy that "
            "training starts from."
        )
    if pairs.is_empty():
        raise DataError("There are no preference pairs to train on. Label or generate some first.")
    incomplete = pairs.select(pl.any_horizontal(pl.col(columns).is_null()).sum()).item()
    infinite = pairs.select((~pl.all_horizontal(pl.col(LOGPS).is_finite())).sum()).item()
    if incomplete or infinite:
        raise DataError(
            f"Of {len(pairs)} pairs, {incomplete} lack a value in one of {', '.join(columns)} and "
            f"{infinite} have a reference log-probability that is not finite. Score the responses "
            "under the policy that training starts from."
        )
    lengths = pairs.select(
        pl.col(IDS[0]).list.len() + pl.max_horizontal(pl.col(IDS[1:]).list.len())
    ).to_series()
    refuse_longer(
        lengths.to_list(),
        start,
        "pairs",
        "Leave those out, or lower `generation.params.max_new_tokens`.",
    )
    longest, too_long = max(lengths.to_list()), int((lengths > config.max_length).sum())
    if too_long:
        raise DataError(
            f"{too_long} of {len(pairs)} pairs are longer than training.max_length="
            f"{config.max_length} tokens; the longest has {longest}. Raise training.max_length "
            f"to {longest}, or lower generation.params.max_new_tokens."
        )


def trainable_config(weights: Path) -> Any:
    """The transformers config of a model folder, without dropout.

    Trained is the model that sampled and was scored. Some families drop by their settings alone, in
    functions, or drop whole layers; TRL finds none of those.

    Raises:
        ConfigError: The weights are quantised.
    """
    config = AutoConfig.from_pretrained(weights, **NO_CODE)
    if getattr(config, "quantization_config", None):
        raise ConfigError(
            f"The weights in {weights} are quantised (quantization_config in config.json), and "
            "steps of training are smaller than their grid. Train from the model's own weights."
        )
    for part in _parts(config):
        for name, value in vars(part).items():
            if "drop" in name and isinstance(value, float):
                setattr(part, name, 0.0)
    return config


def _parts(config: Any) -> Iterator[Any]:
    yield config
    for value in vars(config).values():
        if isinstance(value, PretrainedConfig):
            yield from _parts(value)


@contextmanager
def adaptable(lora: LoraConfig | None, model: Any) -> Iterator[None]:
    """Check what LoRA is to adapt, and name what PEFT refuses within the block.

    Raises:
        ConfigError: It cannot adapt that.
    """
    if lora is None:
        yield
        return
    check_targets(lora, model)
    try:
        yield
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(
            f"LoRA cannot adapt this model: {error} Set `training.lora.target_modules`, or train "
            "all weights (`training.lora: null`)."
        ) from error


def check_targets(lora: LoraConfig, model: Any) -> None:
    """Check that `lora.target_modules` means layers that can be adapted, each of its names.

    Raises:
        ConfigError: A name means no layer, one that has no weights, or the output layer.
    """
    if lora.target_modules == "all-linear":
        return _say_what_is_missed(model)
    names = [lora.target_modules] if isinstance(lora.target_modules, str) else lora.target_modules
    layers = {name: layer for name, layer in model.named_modules() if _has_matrix(layer)}
    known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
    head = model.get_output_embeddings()
    for name in names:
        meant = [*_meant(name, layers, pattern=isinstance(lora.target_modules, str))]
        if not meant:
            raise ConfigError(
                f"training.lora.target_modules: {name!r} is no layer of this model, so nothing "
                f"would be trained there. Its layers are {known}; or set 'all-linear'."
            )
        if any(layers[layer] is head for layer in meant):
            raise ConfigError(
                f"training.lora.target_modules: {name!r} is the output layer, which cannot be "
                "adapted here. Leave it out, or train all weights (`training.lora: null`)."
            )
    return None


def _say_what_is_missed(model: Any) -> None:
    """Warn of experts: where several are one tensor, they are no linear layers, and stay frozen."""
    missed = {n: p.numel() for n, p in model.named_parameters() if p.ndim == 3 and "conv" not in n}
    if missed:
        names = ", ".join(sorted({name.rpartition(".")[2] for name in missed}))
        logger.warning(
            "LoRA adapts linear layers: %.0f %% of the weights are none (%s) and stay as they are.",
            100 * sum(missed.values()) / model.num_parameters(),
            names,
        )


def _has_matrix(layer: Any) -> bool:
    """Whether a layer has weights of its own that LoRA can adapt; norms and blocks have none."""
    weight = getattr(layer, "weight", None)
    return getattr(weight, "ndim", 0) >= 2


def _meant(name: str, layers: dict[str, Any], *, pattern: bool) -> Iterator[str]:
    """The layers that PEFT finds by a name, or by a pattern for their whole names."""
    for layer in layers:
        if re.fullmatch(name, layer) if pattern else f".{layer}".endswith(f".{name}"):
            yield layer
