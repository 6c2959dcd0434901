"""Score with Hugging Face transformers, in this process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.models.loading import load_model
from prefopt_core.models.padding import longest_first, padded
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import Tokens


def score(
    model: Path,
    sequences: Sequence[tuple[Tokens, Tokens]],
    *,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float64]:
    """Score with transformers in this process; the fallback that needs nothing else.

    Args:
        model: The model's folder.
        sequences: Token ids of a prompt and of its response, for each.
        batch_size: Responses per forward pass; more need more memory.
        device: "cpu", "cuda", …; "auto": spread over the GPUs there are, else the CPU.
    """
    network = load_model(model, device)
    order = longest_first(sequences)
    sums = np.zeros(len(sequences))
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        sums[batch] = _batch_logps(network, [sequences[i] for i in batch])
        report_progress(min(start + batch_size, len(order)), len(order))
    return sums


def _batch_logps(network, batch: Sequence[tuple[Tokens, Tokens]]) -> npt.NDArray[np.float64]:  # type: ignore[no-untyped-def]
    import torch

    input_ids, attention_mask, is_response = padded(batch)
    with torch.inference_mode(), threads_for(network):
        input_ids = input_ids.to(network.device)
        logits = network(
            input_ids=input_ids, attention_mask=attention_mask.to(network.device), use_cache=False
        ).logits[:, :-1]
        labels, counted = input_ids[:, 1:, None], is_response[:, 1:].to(network.device)
        # logit - logsumexp, not log_softmax: no second tensor of the size of the logits
        token_logps = logits.gather(2, labels)[..., 0].float() - logits.float().logsumexp(-1)
        return (token_logps * counted).double().sum(1).cpu().numpy()
