"""Generate with a model in this process, through Hugging Face transformers."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from prefopt_core.generation import Prompt, Response
from prefopt_core.generation.decoding import decode
from prefopt_core.generation.encoding import encode, end_tokens, model_for
from prefopt_core.models import load_model
from prefopt_core.progress import report
from prefopt_core.randomness import rng_for
from prefopt_core.tokens import load_tokenizer, template_digest

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class _Request:
    """One response to write."""

    prompt: int
    sample: int
    prompt_token_ids: list[int]


@dataclass(frozen=True)
class _Sampling:
    """How tokens are drawn."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    max_new_tokens: int


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
    folder = model_for("transformers", model)
    tokenizer, network = load_tokenizer(folder), load_model(folder, device)
    sampling = _Sampling(temperature, top_p, top_k, min_p, max_new_tokens)
    limit = getattr(network.config, "max_position_embeddings", None)
    encoded = encode(tokenizer, prompts, max_new_tokens, limit)
    requests = [_Request(i, j, ids) for i, ids in enumerate(encoded) for j in range(n)]
    requests.sort(key=lambda r: (len(r.prompt_token_ids), r.prompt, r.sample))  # little padding
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
    sampling: _Sampling,
) -> list[Response]:
    ends = end_tokens(tokenizer, network.generation_config)
    written = decode(
        network,
        [request.prompt_token_ids for request in batch],
        uniforms,
        partial(_processors, sampling),
        ends=ends,
        pad=tokenizer.pad_token_id,
    )
    template = template_digest(tokenizer)
    responses = []
    for request, (ids, logps) in zip(batch, written, strict=True):
        stopped = ids[-1] in ends
        responses.append(
            Response(
                text=str(tokenizer.decode(ids[:-1] if stopped else ids, skip_special_tokens=True)),
                finish_reason="stop" if stopped else "length",
                prompt_token_ids=request.prompt_token_ids,
                token_ids=ids,
                logps=logps,
                template=template,
            )
        )
    return responses


def _processors(sampling: _Sampling, uniforms: np.ndarray, width: int) -> tuple[Any, Any]:
    from transformers import (
        LogitsProcessorList,
        MinPLogitsWarper,
        TemperatureLogitsWarper,
        TopKLogitsWarper,
        TopPLogitsWarper,
    )

    from prefopt_core.generation.sampling import InverseCdfSampler, LogpsRecorder

    recorder = LogpsRecorder()
    sampler = InverseCdfSampler(uniforms, recorder, width)
    warpers = [
        (sampling.temperature != 1.0, TemperatureLogitsWarper, sampling.temperature),
        (sampling.top_k > 0, TopKLogitsWarper, sampling.top_k),
        (sampling.top_p < 1.0, TopPLogitsWarper, sampling.top_p),
        (sampling.min_p > 0.0, MinPLogitsWarper, sampling.min_p),
    ]
    active = [warper(value) for wanted, warper, value in warpers if wanted]
    return LogitsProcessorList([recorder, *active, sampler]), sampler
