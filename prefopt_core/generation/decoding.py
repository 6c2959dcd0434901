"""Decoding a batch with transformers: prompts are read once, rows that have ended leave.

`generate` alone reads a prompt for each of its samples, and goes on with every row until the last
one has ended. Responses differ in length so much that most of its work is on finished rows.
"""

from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

STRIDE = 8
"""Steps between two looks at which rows have ended."""

Floats = npt.NDArray[np.float64]

Chain = Callable[[Floats, int], tuple[Any, Any]]
"""`(uniforms, width) -> (logits processors, the sampler that ends them)`, for rows so wide."""


def decode(
    network: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    uniforms: Floats,
    chain: Chain,
    *,
    ends: Set[int],
    pad: int,
) -> list[tuple[list[int], float]]:
    """Write one response to each of B prompts.

    Args:
        network: A causal language model.
        prompts: Their token ids.
        uniforms: (B, T) numbers in [0, 1) that pick T tokens at most.
        chain: Makes what turns logits and uniforms into picks.
        ends: Token ids that end a response, and stay at its end.
        pad: The token id of padding.

    Returns:
        Per prompt token ids and their summed log-probability.
    """
    import torch

    ids, mask = _padded(prompts, pad)
    size = uniforms.shape[1]
    written = torch.full(uniforms.shape, pad)
    logps = torch.zeros(uniforms.shape, dtype=torch.double)
    rows, start = torch.arange(len(prompts)), 0
    cache = _read(network, prompts, ids, mask, ends, pad)
    while start < size:
        stop = min(start + STRIDE, size) if start == 0 or _selects(cache) else size
        processors, sampler = chain(uniforms[rows.numpy(), start:stop], ids.shape[1])
        answer = _generate(network, ids, mask, cache, processors, ends, pad, stop - start)
        new, cache = answer.sequences[:, ids.shape[1] :].cpu(), answer.past_key_values
        start, place = start + new.shape[1], slice(start, start + new.shape[1])
        written[rows, place] = new
        logps[rows, place] = torch.stack(sampler.token_logps, dim=1).double()
        ended = torch.isin(new, torch.tensor(sorted(ends))).any(1)
        if ended.all():
            break
        ids, mask = torch.cat([ids, new], 1), torch.cat([mask, torch.ones_like(new)], 1)
        if ended.any() and _selects(cache):
            going = (~ended).nonzero()[:, 0]
            cache.batch_select_indices(going)
            ids, mask, rows = ids[going], mask[going], rows[going]
    return [
        (row[:length].tolist(), float(values[:length].sum()))
        for row, values in zip(written.numpy(), logps.numpy(), strict=True)
        for length in [_length(row, ends)]
    ]


def _padded(prompts: Sequence[Sequence[int]], pad: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """(B, width) ids and mask; padding is on the left, so that all responses start together."""
    import torch

    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def _read(
    network: "PreTrainedModel",
    prompts: Sequence[Sequence[int]],
    ids: "torch.Tensor",
    mask: "torch.Tensor",
    ends: Set[int],
    pad: int,
) -> Any:
    """The cache of all but the last token of each prompt; equal prompts are read together."""
    import torch

    number = {tuple(prompt): i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    if len(number) == len(prompts) or min(map(len, number)) < 2:
        return None
    rows = [number[tuple(prompt)] for prompt in prompts]
    first = [rows.index(i) for i in range(len(number))]
    answer = _generate(network, ids[first, :-1], mask[first, :-1], None, None, ends, pad, 1)
    cache = answer.past_key_values
    if not _selects(cache):
        return None
    cache.batch_select_indices(torch.tensor(rows))
    return cache


def _generate(
    network: "PreTrainedModel",
    ids: "torch.Tensor",
    mask: "torch.Tensor",
    cache: Any,
    processors: Any,
    ends: Set[int],
    pad: int,
    steps: int,
) -> Any:
    import torch
    from transformers import GenerationConfig

    from prefopt_core.threads import threads_for

    with torch.inference_mode(), threads_for(network):
        return network.generate(  # type: ignore[operator]
            input_ids=ids.to(network.device),
            attention_mask=mask.to(network.device),
            past_key_values=cache,
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False,  # the processors leave one token to choose
                max_new_tokens=steps,
                eos_token_id=sorted(ends),
                pad_token_id=pad,
                return_dict_in_generate=True,
            ),
            logits_processor=processors,
        )


def _selects(cache: Any) -> bool:
    """Whether rows can leave the cache; those of some architectures cannot let them."""
    return hasattr(cache, "batch_select_indices")


def _length(row: npt.NDArray[np.int64], ends: Set[int]) -> int:
    """Tokens up to the first that ends the response, or all."""
    found = np.flatnonzero(np.isin(row, sorted(ends)))
    return int(found[0]) + 1 if len(found) else len(row)
