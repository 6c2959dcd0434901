"""Decoding a batch with transformers: prompts are read once, rows that have ended leave.

`generate` alone reads a prompt for each of its samples, and goes on with every row until the last
one has ended. Responses differ in length so much that most of its work is on finished rows.
"""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
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

    going, size = _Rows.of(prompts, pad), uniforms.shape[1]
    written = torch.full(uniforms.shape, pad)
    logps = torch.zeros(uniforms.shape, dtype=torch.double)
    going.cache = _read(network, prompts, going, ends)
    start = 0
    while start < size and len(going.numbers):
        stop = min(start + STRIDE, size) if start == 0 or _selects(going.cache) else size
        processors, sampler = chain(uniforms[going.numbers.numpy(), start:stop], going.width)
        new = _generate(network, going, processors, ends, stop - start)
        written[going.numbers, start : start + new.shape[1]] = new
        token_logps = torch.stack(sampler.token_logps, dim=1).double()
        logps[going.numbers, start : start + new.shape[1]] = token_logps
        start += new.shape[1]
        going.drop(torch.isin(new, torch.tensor(sorted(ends))).any(1))
    return [_cut(*row, ends) for row in zip(written.numpy(), logps.numpy(), strict=True)]


@dataclass
class _Rows:
    """The rows that are still being written.

    Attributes:
        numbers: (B',) their places in the batch.
        ids: (B', width) what was read and written; padding is on the left, so that all responses
            start together.
        mask: 0 where `ids` is padding.
        cache: What the model keeps of all but the last column; None before it has read any.
        pad: The token id of padding.
    """

    numbers: "torch.Tensor"
    ids: "torch.Tensor"
    mask: "torch.Tensor"
    cache: Any
    pad: int

    @classmethod
    def of(cls, prompts: Sequence[Sequence[int]], pad: int) -> "_Rows":
        import torch

        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        return cls(torch.arange(len(prompts)), ids, mask, None, pad)

    @property
    def width(self) -> int:
        return self.ids.shape[1]

    def drop(self, ended: "torch.Tensor") -> None:
        """Go on without rows that have ended; with all until then, if the cache lets none go."""
        if not ended.any() or not (_selects(self.cache) or ended.all()):
            return
        going = (~ended).nonzero()[:, 0]
        self.numbers, self.ids, self.mask = self.numbers[going], self.ids[going], self.mask[going]
        if len(going):
            self.cache.batch_select_indices(going)


def _read(
    network: "PreTrainedModel", prompts: Sequence[Sequence[int]], rows: _Rows, ends: Set[int]
) -> Any:
    """The cache of all but the last token of each prompt; equal prompts are read together."""
    import torch

    place = {prompt: i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    if len(place) == len(prompts) or min(map(len, place)) < 2:
        return None
    read = _Rows.of([prompt[:-1] for prompt in place], rows.pad)
    _generate(network, read, None, ends, 1)
    if not _selects(read.cache):
        return None
    read.cache.batch_select_indices(torch.tensor([place[tuple(prompt)] for prompt in prompts]))
    return read.cache


def _generate(
    network: "PreTrainedModel", rows: _Rows, processors: Any, ends: Set[int], steps: int
) -> "torch.Tensor":
    """(B', steps or fewer) new tokens, which the rows have from then on."""
    import torch
    from transformers import GenerationConfig

    from prefopt_core.threads import threads_for

    with torch.inference_mode(), threads_for(network):
        answer: Any = network.generate(  # type: ignore[operator]
            input_ids=rows.ids.to(network.device),
            attention_mask=rows.mask.to(network.device),
            past_key_values=rows.cache,
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False,  # the processors leave one token to choose
                max_new_tokens=steps,
                eos_token_id=sorted(ends),
                pad_token_id=rows.pad,
                return_dict_in_generate=True,
            ),
            logits_processor=processors,
        )
    new: torch.Tensor = answer.sequences[:, rows.width :].cpu()
    rows.ids = torch.cat([rows.ids, new], dim=1)
    rows.mask = torch.cat([rows.mask, torch.ones_like(new)], dim=1)
    rows.cache = answer.past_key_values
    return new


def _selects(cache: Any) -> bool:
    """Whether rows can leave the cache; those of some architectures cannot let them."""
    return hasattr(cache, "batch_select_indices")


def _cut(row: Any, logps: Any, ends: Set[int]) -> tuple[list[int], float]:
    """Tokens up to the first that ends the response, or all, and the sum of their logps."""
    found = np.flatnonzero(np.isin(row, sorted(ends)))
    length = int(found[0]) + 1 if len(found) else len(row)
    return row[:length].tolist(), float(logps[:length].sum())
