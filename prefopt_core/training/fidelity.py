"""Is the saved policy the trained one? Both judge a few of the pairs, and the margins are compared.

All weights are taken as float32, so that two figures differ by the weights alone and not by how a
forward pass is rounded. Notation: n pairs.
"""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from transformers import AutoModelForCausalLM

from prefopt_core.ground.errors import ConfigError
from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.models.adapters import ADAPTER, weights_of
from prefopt_core.models.loading import adapted, load_weights
from prefopt_core.models.threads import threads_for
from prefopt_core.training.log import rounded_away

logger = logging.getLogger(__name__)

SAMPLE = 16
"""The most pairs that are looked at."""
ROUNDING = {torch.float32: 1e-3}
"""By dtype: the most nats per token by which a log-probability may change when it is saved."""
COARSE = 0.1
"""The same for dtypes of 16 bits."""
UNEQUAL = 0.2
"""Nats per square root of a token by which a forward pass in 16 bits may be off."""
SIDES = ("chosen", "rejected")
SAVED_METRICS = ("margin_trained", "margin_saved")

Logps = npt.NDArray[np.float64]
"""(n, 2): summed log-probabilities of the chosen and of the rejected response, in nats."""


@dataclass(frozen=True)
class Trained:
    """What is left of a policy that was trained and saved.

    Attributes:
        logps: Of the sample of pairs.
        device: Where it was trained.
        dtype: Of what was saved.
    """

    logps: Logps
    device: torch.device
    dtype: torch.dtype


def sample_of(pairs: pl.DataFrame) -> pl.DataFrame:
    """At most `SAMPLE` of the pairs, evenly spread."""
    return pairs.gather_every(math.ceil(len(pairs) / SAMPLE))


@torch.no_grad()
def pair_logps(model: Any, pairs: pl.DataFrame, device: torch.device) -> Logps:
    """Log-probabilities of n pairs' responses, one sequence at a time, without dropout.

    Args:
        model: A causal language model; its weights become float32 unless they are quantised.
        pairs: With prompt_token_ids, chosen_token_ids and rejected_token_ids.
        device: Where to compute; on the CPU what does not fit there, as a model trained in 16 bits.
    """
    model.eval()
    if getattr(model, "is_quantized", False):  # where it is, and as it is
        return _pair_logps(model, pairs)
    try:
        return _pair_logps(model.to(device).float(), pairs)
    except torch.OutOfMemoryError:
        return _pair_logps(model.cpu().float(), pairs)


def _pair_logps(model: Any, pairs: pl.DataFrame) -> Logps:
    with threads_for(model):
        return np.array(
            [
                [_logps(model, row["prompt_token_ids"], row[f"{side}_token_ids"]) for side in SIDES]
                for row in pairs.iter_rows(named=True)
            ]
        )


def _logps(model: Any, prompt: list[int], response: list[int]) -> float:
    ids = torch.tensor([[*prompt, *response]], device=model.device)
    logits = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
    labels = ids[0, len(prompt) :, None]
    return float((logits.gather(1, labels)[:, 0] - logits.logsumexp(1)).double().sum())


def saved_logps(folder: Path, start: Path, pairs: pl.DataFrame, device: Any, dtype: Any) -> Logps:
    """The same of a model folder, loaded as the next stage does, but for its precision.

    Whole weights are loaded in float32: some models compute a constant in the dtype they are
    loaded in, which is no difference of weights. Adapters stay on the weights they were trained on.

    Args:
        folder: Whole weights, or adapters of the model that `start` belongs to.
        start: Folder of the policy that training started from.
        pairs: As for `pair_logps`.
        device: Where to compute.
        dtype: In which to load the weights, or "auto".
    """
    own = (folder / ADAPTER).is_file()
    model = load_weights(AutoModelForCausalLM, weights_of(start) if own else folder, dtype=dtype)
    return pair_logps(adapted(model, folder) if own else model, pairs, device)


def refuse_diverged(trained: Logps) -> None:
    """Refuse a policy that gives no numbers.

    Raises:
        ConfigError: A log-probability is not finite.
    """
    if not np.isfinite(trained).all():
        raise ConfigError(
            "Training diverged: the policy's log-probabilities are not finite any more, and it is "
            "not saved. Lower `training.learning_rate` or `training.max_grad_norm`."
        )


def with_margins(
    steps: pl.DataFrame,
    trained: Trained,
    sample: pl.DataFrame,
    start: Path,
    output: Path,
    *,
    beta: float,
) -> pl.DataFrame:
    """The log of a training with `SAVED_METRICS` in its last row.

    Args:
        steps: The log by step.
        trained: The policy that was trained.
        sample: The pairs that it was measured by.
        start: Folder of the policy that training started from.
        output: Folder of what was saved.
        beta: β.

    Raises:
        ConfigError: What was saved is not what was trained.
    """
    lengths = [len(ids) for side in SIDES for ids in sample[f"{side}_token_ids"]]
    doubt_reference(steps, sum(lengths) / len(lengths))
    dtype = "auto" if (output / ADAPTER).is_file() else torch.float32
    saved, before = (saved_logps(f, start, sample, trained.device, dtype) for f in (output, start))
    both = margins(
        trained.logps, saved, before, tokens=max(lengths), beta=beta, dtype=trained.dtype
    )
    last = pl.col("step") == pl.col("step").max()
    return steps.with_columns(
        pl.when(last).then(value).alias(name)
        for name, value in zip(SAVED_METRICS, both, strict=True)
    )


def margins(
    trained: Logps, saved: Logps, start: Logps, *, tokens: int, beta: float, dtype: torch.dtype
) -> tuple[float, float]:
    """Mean reward margins of the trained policy and of the saved one.

    Args:
        trained: Log-probabilities under the policy that was trained, as it was in memory.
        saved: Those under what was saved.
        start: Those under the policy that training started from.
        tokens: Of the longest response.
        beta: β.
        dtype: Of the saved weights.

    Raises:
        ConfigError: What was saved is not what was trained.
    """
    before, after = (
        float(implicit_reward(now[:, 0] - now[:, 1], start[:, 0] - start[:, 1], beta=beta).mean())
        for now in (trained, saved)
    )
    off = np.abs(trained - saved).max()
    if not off <= ROUNDING.get(dtype, COARSE) * (1 + tokens):  # NaN, too
        raise ConfigError(
            f"What was saved is not the policy that was trained: its mean margin on {len(trained)} "
            f"pairs was {before:.4f} in training and is {after:.4f} loaded again, and a response's "
            f"log-probability is off by {off:.2g} nats. {_remedy(dtype)}"
        )
    if rounded_away(before, after):
        logger.warning(
            "Saving rounded training away: the mean margin was %.4f in training and is %.4f in "
            "the saved policy. Set `training.save_dtype: float32`.",
            before,
            after,
        )
    return before, after


def doubt_reference(steps: pl.DataFrame, tokens: float) -> None:
    """Warn if the policy of the first step, which no step has changed yet, is not its reference.

    Args:
        steps: The log by step.
        tokens: Mean length of the responses; roundings add up as its square root.
    """
    first = steps.row(0, named=True)
    off = max(abs(first["chosen_shift"]), abs(first["rejected_shift"]))
    if off > UNEQUAL * math.sqrt(tokens):
        logger.warning(
            "Before its first step the policy was %.2g nats per response from its reference model: "
            "the pairs were scored under other weights or in another precision "
            "(`scoring.params`), or adapters have dropout (`training.lora.dropout`).",
            off,
        )


def _remedy(dtype: torch.dtype) -> str:
    if dtype != torch.float32:
        return "Set `training.save_dtype: float32`."
    return (
        "Keep adapters apart with `training.lora.merge: false`, or leave layers with shared "
        "weights out of `training.lora.target_modules`."
    )
