"""Generator `transformers`: sample from a model in this process."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from prefopt_core.generation import Response
from prefopt_core.generation.encoding import (
    answered,
    encode,
    end_tokens,
    ids_without_text,
    model_for,
    said,
)
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.progress import report_progress
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.models.loading import give_memory_back, load_model
from prefopt_core.models.positions import positions_of
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from prefopt_core.generation.sampling import Sampling


@dataclass(frozen=True)
class _PendingResponse:
    """A response to sample: sample `sample` of prompt number `prompt`."""

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
    withheld: Literal["error", "drop"] = "error",
    batch_size: SpeedOnly[PositiveInt] = 64,
    device: SpeedOnly[str] = "auto",
) -> list[list[Response]]:
    """Sample with transformers in this process; a prompt's draws depend on the prompt alone.

    Args:
        prompts: What is answered.
        model: The policy's folder.
        n: Responses per prompt.
        seed: Root of the draws.
        temperature: Divides the logits before sampling: 1 is the model's own distribution, and near
            0 the likeliest token is always taken. SPA has 0.7.
        top_p: Sample from the likeliest tokens that together have this probability; 1: from all.
        top_k: Sample from so many of the likeliest tokens; 0: from all.
        min_p: Leave out tokens whose probability is below this share of the likeliest one's; 0:
            none, 1: all but the likeliest.
        max_new_tokens: The most tokens of a response, its end included; a longer one is cut off.
            With the prompt's they must fit the model's positions.
        withheld: What to do where a response is cut off within a model's reasoning, so that it has
            no answer: "error" ends the run, "drop" leaves it out if the prompt has another.
        batch_size: Responses sampled at a time; more need more memory.
        device: "cpu", "cuda", …; "auto": spread over the GPUs there are, else the CPU.

    Raises:
        ConfigError: There is no policy, it cannot be loaded, or a prompt is too long for it.
        DataError: The chat template does not take a prompt's roles, or responses have no answer.
        PrefoptError: The model's probabilities are no numbers.
    """
    from prefopt_core.generation.sampling import Sampling

    folder = model_for("transformers", model)
    tokenizer, network = load_tokenizer(folder), load_model(folder, device)
    never = ids_without_text(tokenizer, network.config.get_text_config().vocab_size)
    sampling = Sampling(temperature, top_p, top_k, min_p, never)
    encoded = encode(tokenizer, prompts, max_new_tokens, positions_of(network.config))
    requests = [_PendingResponse(i, j, ids) for i, ids in enumerate(encoded) for j in range(n)]
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
        report_progress(min(start + batch_size, len(requests)), len(requests))
    give_memory_back()
    return answered(tokenizer, prompts, responses, withheld)


def _sample(
    network: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    batch: Sequence[_PendingResponse],
    uniforms: np.ndarray,
    sampling: "Sampling",
) -> list[Response | None]:
    import torch

    from prefopt_core.generation.decoding import decode

    width = max(len(r.prompt_token_ids) for r in batch)
    input_ids = torch.full((len(batch), width), tokenizer.pad_token_id)
    attention_mask = torch.zeros_like(input_ids)
    for row, request in enumerate(batch):  # padding on the left: all responses start together
        ids = request.prompt_token_ids
        input_ids[row, width - len(ids) :] = torch.tensor(ids)
        attention_mask[row, width - len(ids) :] = 1
    eos = end_tokens(tokenizer, network.generation_config)
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
    if np.isnan(token_logps).any():
        raise PrefoptError(
            f"The model {tokenizer.name_or_path} gives probabilities that are no numbers: its "
            "weights hold NaN, or its dtype overflows. Take another policy, or train it again with "
            "a lower `training.learning_rate`."
        )
    responses = []
    for row, request in enumerate(batch):
        end = next((i for i, token in enumerate(written[row]) if token in eos), None)
        ids = written[row] if end is None else written[row][: end + 1]
        responses.append(
            said(
                tokenizer,
                request.prompt_token_ids,
                ids,
                "length" if end is None else "stop",
                token_logps[row],
            )
        )
    return responses
