"""Responses behind their prompts as batches of tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prefopt_core.models.tokens import Tokens

if TYPE_CHECKING:
    from torch import Tensor


def longest_first(sequences: Sequence[tuple[Tokens, Tokens]]) -> list[int]:
    """Indices by length: little of a batch is padding, and one too large for memory fails at once.

    Args:
        sequences: Token ids of a prompt and of its response, for each.
    """
    return sorted(range(len(sequences)), key=lambda i: -sum(map(len, sequences[i])))


def padded(batch: Sequence[tuple[Tokens, Tokens]]) -> "tuple[Tensor, Tensor, Tensor]":
    """A batch with its padding on the right.

    Args:
        batch: Token ids of a prompt and of its response, for each of n rows.

    Returns:
        (n, width) token ids, 1 where there is one, and whether it is of the response.
    """
    import torch

    width = max(len(prompt) + len(response) for prompt, response in batch)
    input_ids = torch.zeros((len(batch), width), dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    is_response = torch.zeros_like(input_ids, dtype=torch.bool)
    for row, (prompt, response) in enumerate(batch):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor([*prompt, *response])
        attention_mask[row, :end] = 1
        is_response[row, len(prompt) : end] = True
    return input_ids, attention_mask, is_response
