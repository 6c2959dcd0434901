"""Embedder `policy`: responses in the hidden space of the policy that is to learn of them."""

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


def embed(
    sequences: Sequence[tuple[Tokens, Tokens]],
    model: Path,
    *,
    batch_size: SpeedOnly[PositiveInt] = 32,
    device: SpeedOnly[str] = "auto",
) -> npt.NDArray[np.float32]:
    """Take the mean of the policy's last hidden states over the tokens of each response.

        e(x, y) = h / |h|,    h = mean over t of h_t(x, y_≤t)

    What the last layer's norm gives, of the response behind its prompt. All of them have much in
    common, so cosines are near 1; strategies compare them with each other.

    Args:
        sequences: Token ids of a prompt and of its response, for each.
        model: The policy's folder.
        batch_size: Responses per forward pass; more need more memory.
        device: "cpu", "cuda", …; "auto": spread over the GPUs there are, else the CPU.
    """
    network = load_model(model, device)
    order = longest_first(sequences)
    vectors = []
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        vectors.append(_means(network, [sequences[i] for i in batch]))
        report_progress(min(start + batch_size, len(order)), len(order))
    means = np.concatenate(vectors)[np.argsort(order)]
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return (means / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)


def _means(network, batch: Sequence[tuple[Tokens, Tokens]]) -> npt.NDArray[np.float32]:  # type: ignore[no-untyped-def]
    import torch

    input_ids, attention_mask, is_response = padded(batch)
    with torch.inference_mode(), threads_for(network):
        states = network.base_model(  # without the head: no logits
            input_ids=input_ids.to(network.device),
            attention_mask=attention_mask.to(network.device),
            use_cache=False,
        ).last_hidden_state.float()
        counted = is_response.unsqueeze(-1).to(states)
        return ((states * counted).sum(1) / counted.sum(1).clamp(min=1)).cpu().numpy()
