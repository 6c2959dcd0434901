"""SPA's noise detection in a training run: threshold τ, reference model, reward margins.

The mathematics is in `noise.py`. Notation: B pairs; N response tokens among all of them, those of
chosen responses first; H the width of the model.
"""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, TrainerCallback
from transformers.trainer_callback import ExportableState
from trl.trainer.utils import use_adapter

from prefopt_core.ground.errors import ConfigError
from prefopt_core.implicit_reward import implicit_reward
from prefopt_core.models.folder import NO_CODE
from prefopt_core.noise import extrapolated_logps, quantile_threshold, running_threshold
from prefopt_core.training.packing import Inputs, summed
from prefopt_core.training.reading import last_hidden
from prefopt_core.training.sharded import unsharded

TILE = 2**24
"""Logits of one model that exist at once, 64 MiB in float32: bounds memory, changes nothing."""

SCALED_LOGITS = (
    "final_logit_softcapping",
    "lm_head_multiplier",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
)
"""Settings of models that rescale the logits of the output layer, which are those used here."""


class Threshold(TrainerCallback, ExportableState):
    """The threshold τ and its state; part of every checkpoint, so that a resumed run keeps it.

    Attributes:
        margins: The last reward margins β·Δ̃ of doubtful pairs, over all processes.
        value: τ.
        epoch: The epoch for which an exact τ was measured; -1 before the first.
        flagged: Row of a pair → how often it was flagged. Rows are text, as keys of JSON must be.
    """

    def __init__(self) -> None:
        self.margins: list[float] = []
        self.value = 0.0
        self.epoch = -1
        self.flagged: dict[str, int] = {}

    def state(self) -> dict[str, Any]:
        """What `Trainer` writes to trainer_state.json, and restores on resuming."""
        return {"args": {}, "attributes": dict(vars(self))}

    def note(self, rows: list[int]) -> None:
        """Remember which pairs were flagged in a batch."""
        for row in map(str, rows):
            self.flagged[row] = self.flagged.get(row, 0) + 1

    def move(self, margins: list[float], *, window: int, noise_share: float) -> None:
        """Take the margins of one more batch into the running window."""
        self.margins = [*self.margins, *margins][-window:]
        self.value = running_threshold(self.margins, window=window, noise_share=noise_share)

    def measure(self, margins: list[float], *, epoch: int, noise_share: float) -> None:
        """Set τ to the exact quantile of the margins of all doubtful pairs."""
        self.value = quantile_threshold(np.array(margins), noise_share=noise_share)
        self.epoch = epoch


class Reference:
    """The reference model: the one that training started from.

    With new LoRA adapters it is the policy with its adapters disabled. Where existing adapters are
    trained further, it is the policy with TRL's copy of them from the start, the adapter "ref".
    Without adapters it is a second model, loaded from `start` on first use: the pairs bring their
    log-probabilities under the reference model, so only detection with λ > 0 needs the model.
    """

    def __init__(self, policy: Any, start: Path) -> None:
        self.policy, self.start = policy, start

    @cached_property
    def model(self) -> Any:
        """A model with the output layer of the reference model."""
        if isinstance(self.policy, PeftModel):
            return self.policy
        model = AutoModelForCausalLM.from_pretrained(self.start, dtype="auto", **NO_CODE)
        return model.to(self.policy.device).eval().requires_grad_(False)

    def hidden(self, inputs: Inputs) -> torch.Tensor:
        """The last hidden states of the reference model, (N, H)."""
        if not isinstance(self.policy, PeftModel):
            return last_hidden(self.model, inputs)
        if "ref" not in self.policy.peft_config:
            with self.policy.disable_adapter():
                return last_hidden(self.policy, inputs)
        training = self.policy.training
        with use_adapter(self.policy, "ref"):
            self.policy.eval()  # no dropout in the adapters of the reference model
            hidden = last_hidden(self.policy, inputs)
            self.policy.train(training)
        return hidden


class Detector:
    """Reward margins under the model extrapolated from the reference model through the policy.

    Raises:
        ConfigError: The model rescales its logits, see `SCALED_LOGITS`.
    """

    def __init__(self, policy: Any, start: Path, *, beta: float, extrapolation: float) -> None:
        scaled = [s for s in SCALED_LOGITS if getattr(policy.config, s, None) not in (None, 1.0)]
        if scaled:
            raise ConfigError(
                f"The model in {start} sets {', '.join(scaled)}, which noise detection cannot "
                "follow. Set `training.loss` to 'dpo' or 'cdpo'."
            )
        self.policy, self.reference = policy, Reference(policy, start)
        self.beta, self.extrapolation = beta, extrapolation

    @torch.no_grad()
    def margins(self, inputs: Inputs, hidden: torch.Tensor) -> torch.Tensor:
        """β·Δ̃ of B pairs, (B,) in double precision.

        Args:
            inputs: The pairs, with their reference log-probabilities.
            hidden: (N, H), the policy's last hidden states.
        """
        token_logps = self._token_logps(inputs, hidden)
        chosen, rejected = summed(token_logps, inputs["lengths"]).chunk(2)
        return implicit_reward(
            chosen - rejected,
            inputs["ref_chosen_logps"].double() - inputs["ref_rejected_logps"].double(),
            beta=self.beta,
        )

    def _token_logps(self, inputs: Inputs, hidden: torch.Tensor) -> torch.Tensor:
        labels, policy, reference = inputs["labels"], hidden, hidden
        head = reference_head = self.policy.get_output_embeddings()
        if self.extrapolation:
            reference = self.reference.hidden(inputs)
            reference_head = self.reference.model.get_output_embeddings()
        heads = (head, reference_head)
        with unsharded(self.policy):
            return tiled_logps(policy, reference, labels, heads, self.extrapolation)


def tiled_logps(
    policy: torch.Tensor,
    reference: torch.Tensor,
    labels: torch.Tensor,
    heads: tuple[Any, Any],
    lam: float,
    tile: int = TILE,
) -> torch.Tensor:
    """Log-probabilities of N tokens under the extrapolated model, (R,) in double precision.

    Args:
        policy: (R, H), the policy's last hidden states where the tokens are predicted.
        reference: (R, H), those of the reference model.
        labels: (R,), the tokens.
        heads: Output layers of the two, from (R, H) to (R, V).
        lam: λ of `noise.extrapolated_logps`.
        tile: Logits that exist at once, of each model; at least those of one token.
    """
    rows = max(1, tile // heads[0].weight.shape[0])
    logps = []
    for p, r, y in zip(*(torch.split(x, rows) for x in (policy, reference, labels)), strict=True):
        logits = heads[0](p).float()
        other = heads[1](r).float() if lam else logits
        logps.append(extrapolated_logps(logits, other, y, lam))
    return torch.cat(logps).double()
