"""Batched decoding with transformers: finished rows are dropped, prefill is shared by samples.

Responses differ in length: most rows of a batch end long before the last one. Dropping them
changes no bit of the others on a CPU. The samples of a long prompt share one prefill, that is, its
keys and values are computed once; only there log-probabilities may be rounded differently than
with a prefill per sample.
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
"""Share of a batch that must have ended before rows are dropped, which copies the cache."""

ROWS = 16
"""Batches keep a multiple of so many rows: smaller matrix products may be rounded differently."""

SHARED_FROM = 64
"""Length in tokens of a batch's shortest prompt from which the prefill is shared."""


class EnoughEnded(StoppingCriteria):
    """Interrupts a batch once enough rows have ended for dropping them to pay.

    Args:
        ended: (batch,), whether a row had ended before.
        ends: The tokens that end a response.
        droppable: Whether rows can be dropped; if not, the batch ends with its last row.
    """

    def __init__(self, ended: torch.Tensor, ends: list[int], *, droppable: bool) -> None:
        self.ended, self._ends = ended, torch.tensor(ends, device=ended.device)
        droppable = droppable and len(ended) > ROWS
        self._enough = DROPPED_AT * len(ended) if droppable else len(ended)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """(batch,) whether to interrupt: the same for every row."""
        self.ended = self.ended | torch.isin(input_ids[:, -1], self._ends)
        return (self.ended.sum() >= self._enough).repeat(len(input_ids))

    def remaining(self) -> torch.Tensor:
        """Rows to keep, in order: those that have not ended, filled up to a multiple of `ROWS`."""
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
    """Sample a response for every row of a batch.

    Args:
        network: The policy.
        input_ids: (batch, width), prompts with their padding on the left.
        attention_mask: (batch, width), 0 at padding.
        uniforms: (batch, max_new_tokens) in [0, 1): a random number per token.
        sampling: How tokens are drawn.
        ends: The tokens that end a response.
        pad: The token of padding.

    Returns:
        Tokens and their log-probabilities, (batch, max_new_tokens); those after the first end token
        of a row are to be ignored.
    """
    width, limit, cache = input_ids.shape[1], uniforms.shape[1], _cache(network)
    tokens, logps = np.full(uniforms.shape, pad), np.zeros(uniforms.shape)
    rows, done = np.arange(len(input_ids)), 0
    ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
    if cache is not None and int(attention_mask.sum(1).min()) >= SHARED_FROM:
        _prefill(network, input_ids[:, :-1], attention_mask[:, :-1], cache, pad)
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
        now, rest = written.shape[1] - width, enough.remaining()
        tokens[rows, done:now] = written[:, width + done :].cpu()
        logps[rows, done:now] = torch.stack(sampler.token_logps, dim=1)
        rows, ended, input_ids = rows[rest.cpu()], enough.ended[rest], written[rest]
        attention_mask = pad_right(attention_mask, (0, now - done), value=1)[rest]
        done = now
        if cache is not None:
            cache.batch_select_indices(rest)
    return tokens.tolist(), logps


def _prefill(
    network: "PreTrainedModel",
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    cache: DynamicCache,
    pad: int,
) -> None:
    """Fill the key-value cache of all rows, (batch, width), with one prefill per distinct row."""
    both = torch.stack([input_ids, attention_mask], dim=1)
    distinct, place = torch.unique(both, dim=0, return_inverse=True)
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
    """A key-value cache whose rows can be dropped; None for models that keep other state."""
    cache = DynamicCache(config=network.config)
    plain = all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in cache.layers)
    return cache if plain and not network._is_stateful else None
