"""Generate with a model in this process, through Hugging Face transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from prefopt_core.errors import ConfigError
from prefopt_core.generation import Prompt, Response
from prefopt_core.models import load_model
from prefopt_core.progress import report
from prefopt_core.randomness import rng_for
from prefopt_core.threads import threads_for
from prefopt_core.tokens import load_tokenizer, prompt_ids, template_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prefopt_core.generation.sampling import Sampling


@dataclass(frozen=True)
class _Request:
    """One response to write."""

    prompt: int
    sample: int
    prompt_token_ids: list[int]


def generate(
    prompts: Sequence[Prompt],
    model: Path | None,
    n: int,
    seed: int,
    *,
    temperature: PositiveFloat = 1.0,
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0,
    top_k: NonNegativeInt = 0,
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0,
    max_new_tokens: PositiveInt = 256,
    batch_size: PositiveInt = 64,
    device: str = "auto",
) -> list[list[Response]]:
    """Sample with transformers in this process; a prompt's draws depend on the prompt alone."""
    if model is None:
        raise ConfigError("Generator 'transformers' needs a model: set `policy`.")
    from prefopt_core.generation.sampling import Sampling

    tokenizer, network = load_tokenizer(model), load_model(model, device)
    sampling = Sampling(temperature, top_p, top_k, min_p)
    encoded = [prompt_ids(tokenizer, p.messages) for p in prompts]
    requests = [_Request(i, j, ids) for i, ids in enumerate(encoded) for j in range(n)]
    requests.sort(key=lambda r: (len(r.prompt_token_ids), r.prompt, r.sample))  # little padding
    _check_length(network, requests, max_new_tokens, prompts)
    responses: list[list[Response | None]] = [[None] * n for _ in prompts]
    for start in range(0, len(requests), batch_size):
        batch = requests[start : start + batch_size]
        uniforms = np.stack(
            [
                rng_for(seed, "generation", prompts[r.prompt].prompt_id, str(r.sample)).random(
                    max_new_tokens
                )
                for r in batch
            ]
        )
        for request, response in zip(
            batch, _sample(network, tokenizer, batch, uniforms, sampling), strict=True
        ):
            responses[request.prompt][request.sample] = response
        report(min(start + batch_size, len(requests)), len(requests))
    return [[r for r in row if r is not None] for row in responses]


def _sample(
    network: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    batch: Sequence[_Request],
    uniforms: np.ndarray,
    sampling: "Sampling",
) -> list[Response]:
    import torch

    from prefopt_core.generation.decoding import decode

    width = max(len(r.prompt_token_ids) for r in batch)
    input_ids = torch.full((len(batch), width), tokenizer.pad_token_id)
    attention_mask = torch.zeros_like(input_ids)
    for row, request in enumerate(batch):  # padding on the left: all responses start together
        ids = request.prompt_token_ids
        input_ids[row, width - len(ids) :] = torch.tensor(ids)
        attention_mask[row, width - len(ids) :] = 1
    eos, template = _end_tokens(network, tokenizer), template_digest(tokenizer)
    with torch.inference_mode(), threads_for(network):
        written, token_logps = decode(
            network,
            input_ids.to(network.device),
            attention_mask.to(network.device),
            uniforms,
            sampling,
            ends=sorted(eos),
            pad=tokenizer.pad_token_id,
        )
    responses = []
    for row, request in enumerate(batch):
        end = next((i for i, token in enumerate(written[row]) if token in eos), None)
        ids = written[row] if end is None else written[row][: end + 1]
        responses.append(
            Response(
                text=str(
                    tokenizer.decode(ids if end is None else ids[:-1], skip_special_tokens=True)
                ),
                finish_reason="length" if end is None else "stop",
                prompt_token_ids=request.prompt_token_ids,
                token_ids=ids,
                logps=float(token_logps[row, : len(ids)].sum()),
                template=template,
            )
        )
    return responses


def _end_tokens(network: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """What ends a response: the tokenizer's EOS and those the model's author lists."""
    listed = getattr(network.generation_config, "eos_token_id", None)
    return {tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])} - {None}


def _check_length(
    network: "PreTrainedModel",
    requests: Sequence[_Request],
    max_new_tokens: int,
    prompts: Sequence[Prompt],
) -> None:
    limit = getattr(network.config, "max_position_embeddings", None)
    longest = max(requests, key=lambda r: len(r.prompt_token_ids), default=None)
    if limit and longest and len(longest.prompt_token_ids) + max_new_tokens > limit:
        raise ConfigError(
            f"A prompt of {len(longest.prompt_token_ids)} tokens and {max_new_tokens} new ones do "
            f"not fit the model's {limit} positions. Lower `generation.params.max_new_tokens` or "
            f"drop the prompt {prompts[longest.prompt].messages[-1]['content'][:60]!r}."
        )
