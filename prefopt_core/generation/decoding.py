"""Token by token through transformers, without carrying what has ended to the end of its batch.

Responses differ in length: most rows of a batch end long before its last one. They are dropped on
the way, which changes no bit of the others on a CPU. The samples of a long prompt share what the
model keeps of it, and there, and only there, log-probabilities may be rounded otherwise than if
each had read it for itself.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import pad as pad_right
from transformers import DynamicCache, GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from prefopt_core.generation.sampling import Sampling

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DROPPED_AT = 0.25
"""Share of a batch that has ended when it is dropped; each time the cache is copied once."""

ROWS = 16
"""Rows are kept by so many: matrix products of fewer are summed, so rounded, in another way."""

SHARED_FROM = 64
"""Tokens of a batch's shortest prompt from which on its samples share the reading of it."""


class EnoughEnded(StoppingCriteria):
    """Interrupts a batch once so much of it has ended that dropping it pays.

    Args:
        ended: (batch,), the rows that had ended before.
        ends: The tokens that end a response.
        droppable: Whether rows can be dropped; if not, it waits for the last one.
    """

    def __init__(self, ended: torch.Tensor, ends: list[int], *, droppable: bool) -> None:
        self.ended, self._ends = ended, torch.tensor(ends, device=ended.device)
        droppable = droppable and len(ended) > ROWS
        self._enough = DROPPED_AT * len(ended) if droppable else len(ended)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """The same answer for every row, (batch,)."""
        self.ended = self.ended | torch.isin(input_ids[:, -1], self._ends)
        return (self.ended.sum() >= self._enough).repeat(len(input_ids))

    def rest(self) -> torch.Tensor:
        """The rows to go on with, in their order: all that have not ended, and some for company."""
        count = ROWS * max(math.ceil(int((~self.ended).sum()) / ROWS), 1)
        return self.ended.byte().argsort(stable=True)[:count].sort().values


def decode(
    network: "PreTrainedModel",
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    uniforms: npt.NDArray[np.float64],
    sampling: Sampling,
    *,
    ends: list[int],
    pad: int,
) -> tuple[list[list[int]], npt.NDArray[np.float64]]:
    """Write a response to every row of a batch.

    Args:
        network: The policy.
        input_ids: (batch, width), prompts with their padding on the left.
        attention_mask: (batch, width), 0 at padding.
        uniforms: (batch, max_new_tokens) in [0, 1): what each token is drawn with.
        sampling: How tokens are drawn.
        ends: The tokens that end a response.
        pad: The token of padding.

    Returns:
        Tokens and their log-probabilities, (batch, max_new_tokens); behind the first end of a row
        they mean nothing.
    """
    width, limit, cache = input_ids.shape[1], uniforms.shape[1], _cache(network)
    tokens, logps = np.full(uniforms.shape, pad), np.zeros(uniforms.shape)
    rows, done = np.arange(len(input_ids)), 0
    ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
    if cache is not None and int(attention_mask.sum(1).min()) >= SHARED_FROM:
        _read_once(network, input_ids[:, :-1], attention_mask[:, :-1], cache, pad)
    while done < limit and not ended.all():
        processors, sampler = sampling.processors(uniforms[rows], width)
        enough = EnoughEnded(ended, ends, droppable=cache is not None)
        written = network.generate(  # type: ignore[operator]
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False, max_new_tokens=limit - done, eos_token_id=ends, pad_token_id=pad
            ),
            logits_processor=processors,
            stopping_criteria=StoppingCriteriaList([enough]),
        )
        now, rest = written.shape[1] - width, enough.rest()
        tokens[rows, done:now] = written[:, width + done :].cpu()
        logps[rows, done:now] = torch.stack(sampler.token_logps, dim=1)
        rows, ended, input_ids = rows[rest.cpu()], enough.ended[rest], written[rest]
        attention_mask = pad_right(attention_mask, (0, now - done), value=1)[rest]
        done = now
        if cache is not None:
            cache.batch_select_indices(rest)
    return tokens.tolist(), logps


def _read_once(
    network: "PreTrainedModel",
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    cache: DynamicCache,
    pad: int,
) -> None:
    """Fill the cache of all rows, (batch, width), by reading each distinct one of them once."""
    both = torch.stack([input_ids, attention_mask], dim=1)
    distinct, place = both.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
    if len(distinct) < len(both):
        network.generate(  # type: ignore[operator]
            input_ids=distinct[:, 0],
            attention_mask=distinct[:, 1],
            past_key_values=cache,
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False, max_new_tokens=1, pad_token_id=pad
            ),
        )
        cache.batch_select_indices(place)


def _cache(network: "PreTrainedModel") -> DynamicCache | None:
    """A cache whose rows can be dropped; None for models that keep more than keys and values."""
    cache = DynamicCache(config=network.config)
    plain = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)
    return cache if plain and not network._is_stateful else None
