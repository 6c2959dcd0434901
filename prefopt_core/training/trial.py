"""One step of training on one pair, to see that a model can be trained, saved and loaded."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from prefopt_core.models.tokens import Tokens
from prefopt_core.training.settings import LoraConfig, TrainingConfig

RANK, RATE = 4, 1e-3


@dataclass(frozen=True)
class Trial:
    """What came of the step.

    Attributes:
        loss: DPO's before it; log 2 where the policy is its reference.
        trained: The pair's reward margin under the policy as it was trained.
        saved: The same under its adapters, loaded again.
    """

    loss: float
    trained: float
    saved: float


def try_a_step(
    start: Path,
    output: Path,
    work: Path,
    prompt: Tokens,
    sides: tuple[Tokens, Tokens],
    logps: tuple[float, float],
) -> Trial:
    """Train LoRA adapters for one step, save them, and load them again.

    Args:
        start: Model folder.
        output: Folder to write adapters to.
        work: Folder of checkpoints.
        prompt: Token ids.
        sides: Token ids of the chosen and of the rejected response.
        logps: Their summed log-probabilities under `start`, in nats.

    Raises:
        ConfigError: LoRA cannot adapt the model, the step diverged, or what was saved is not what
            was trained.
    """
    from prefopt_core.training.fidelity import SAVED_METRICS
    from prefopt_core.training.trl_dpo import train

    row = {
        "prompt_token_ids": prompt,
        "chosen_token_ids": sides[0],
        "rejected_token_ids": sides[1],
        "ref_chosen_logps": logps[0],
        "ref_rejected_logps": logps[1],
        "source": "gold",
        "confidence": 1.0,
    }
    config = TrainingConfig(
        learning_rate=RATE, steps=1, batch_size=1, lora=LoraConfig(r=RANK, merge=False)
    )
    last = train(pl.DataFrame([row]), start, output, work, config, seed=0).steps.row(-1, named=True)
    return Trial(last["loss"], *(last[name] for name in SAVED_METRICS))
