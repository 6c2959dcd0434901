"""How a model reads a batch of pairs: what it sees, and its hidden states at responses.

Notation: S rows of T tokens, N of them response tokens; H the width of the model.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel

from prefopt_core.training.packing import Inputs, collate
from prefopt_core.training.sharded import unsharded

SAME = 0.05
"""How far hidden states of packed rows may be from those of sequences apart, as a share. Of SmolLM2
they are 6e-7 off in float32 and 0.009 in bfloat16; 0.1 and more without the mask or the positions.
"""
WINDOWS = ("sliding_window", "attention_chunk_size")
"""Settings of models whose layers see so many tokens: what a mask that we make does not say."""


def reading(inputs: Inputs) -> dict[str, Any]:
    """What a model takes to read a batch: its arguments.

    Rows of one sequence each are marked by where their padding begins, which any model knows;
    others by which token sees which, (S, 1, T, T), in the order of queries and keys.
    """
    tokens, tree, branch = (inputs[name] for name in ("input_ids", "tree", "branch"))
    if len(tokens) == len(inputs["lengths"]):
        return {"input_ids": tokens, "attention_mask": (tree >= 0).long(), "use_cache": False}
    query, key = (..., slice(None), None), (..., None, slice(None))
    own = (tree[query] == tree[key]) & ((branch[query] == branch[key]) | (branch[key] == 0))
    return {
        "input_ids": tokens,
        "attention_mask": own.tril()[:, None],
        "position_ids": inputs["position_ids"],
        "use_cache": False,
    }


def last_hidden(model: Any, inputs: Inputs) -> torch.Tensor:
    """The hidden states from which response tokens are predicted, (N, H)."""
    with torch.no_grad(), unsharded(model):
        states = _backbone(model)(**reading(inputs)).last_hidden_state
    return _at_responses(states, inputs)


@contextmanager
def watching(model: Any, inputs: Inputs) -> Iterator[list[torch.Tensor]]:
    """Collect what `last_hidden` gives of each forward pass in the block.

    The output layer gets these (1, N, H) alone: it is the dearest, and of other tokens there is
    nothing to learn.
    """
    seen: list[torch.Tensor] = []

    def keep(_module: Any, _inputs: Any, outputs: Any) -> Any:
        hidden = _at_responses(outputs.last_hidden_state, inputs)
        seen.append(hidden.detach())
        outputs.last_hidden_state = hidden[None]
        return outputs

    hook = _backbone(model).register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def _at_responses(states: torch.Tensor, inputs: Inputs) -> torch.Tensor:
    return states.flatten(0, 1).index_select(0, inputs["places"].to(states.device))


def _backbone(model: Any) -> Any:
    return (model.get_base_model() if isinstance(model, PeftModel) else model).base_model


def reads_packed(
    read: Callable[[Inputs], torch.Tensor],
    config: Any,
    pairs: Sequence[Mapping[str, Any]],
    longest: int,
) -> bool:
    """Whether a model reads pairs in packed rows as it reads their sequences apart: it is tried.

    It does not if its layers hand on states from token to token, or tell distances by other means
    than positions.

    Args:
        read: From a batch to the hidden states that predict its response tokens, (N, H).
        config: That of the model.
        pairs: Some to try it with, as `collate` takes them; short ones will do.
        longest: Tokens of the longest sequence that there will be.
    """
    text = config.get_text_config()
    windows = (getattr(text, name, None) for name in WINDOWS)
    if text._attn_implementation != "sdpa" or any(w is not None and w < longest for w in windows):
        return False
    try:
        packed, apart = (read(collate(pairs, pad_token_id=0, width=w)) for w in (math.inf, None))
    except (RuntimeError, TypeError, ValueError, IndexError):  # it takes no such mask
        return False
    return bool((packed - apart).float().norm() <= SAME * apart.float().norm())
