"""Generator `vllm`: sample with an engine of `prefopt_core.models.vllm`, in its own process."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from prefopt_core.generation import Response
from prefopt_core.generation.encoding import (
    answered,
    encode,
    end_tokens,
    generation_config_of,
    ids_without_text,
    model_for,
    said,
)
from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.randomness import seed_for
from prefopt_core.ground.registry import Spread
from prefopt_core.models.fitness import config_in
from prefopt_core.models.tokens import load_tokenizer
from prefopt_core.models.vllm import engine_for
from prefopt_core.models.vllm.interpreter import no_engine
from prefopt_core.models.vllm.settings import EngineSettings


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
    engine: Spread[EngineSettings],
) -> list[list[Response]]:
    """Sample with vLLM in a process of its own; a prompt's draws depend on the prompt alone.

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
        engine: Settings of vLLM.

    Raises:
        ConfigError: There is no policy, the engine cannot be started with these settings, or a
            prompt is too long.
        DataError: The chat template does not take a prompt's roles, or responses have no answer.
        MissingExtraError: The interpreter cannot import vLLM.
        PrefoptError: The engine ended, or a response ended for an unknown reason.
    """
    folder = model_for("vllm", model)
    served = engine_for(folder, engine)
    tokenizer = load_tokenizer(folder)
    lift = "generation.params.max_model_len" if engine.max_model_len else ""
    encoded = encode(tokenizer, prompts, max_new_tokens, served.max_model_len, lift)
    never = ids_without_text(tokenizer, config_in(folder).get_text_config().vocab_size)
    written = served.ask(
        "generate",
        {
            "prompts": encoded,
            # Sample j of a prompt draws from its seed + j
            "seeds": [seed_for(str(seed), "generation", prompt.prompt_id) for prompt in prompts],
        },
        n=n,
        never=never,
        sampling={
            "temperature": temperature,
            "top_p": top_p,
            "top_k": top_k,
            "min_p": min_p,
            "max_tokens": max_new_tokens,
            "stop_token_ids": sorted(end_tokens(tokenizer, generation_config_of(folder))),
        },
    )
    responses = [
        [said(tokenizer, prompt, ids, _known(reason), logps) for ids, reason, logps in samples]
        for prompt, samples in zip(encoded, written, strict=True)
    ]
    return answered(tokenizer, prompts, responses, withheld)


def check_generate(*, python: str | None) -> Iterator[str]:
    """Look whether vLLM's interpreter is there, which only sampling needs."""
    yield from no_engine(python)


def _known(reason: str) -> Literal["stop", "length"]:
    if reason == "stop":
        return "stop"
    if reason == "length":
        return "length"
    raise PrefoptError(
        f"vLLM ended a response for the reason {reason!r}, not 'stop' or 'length'; such a response "
        "is neither finished nor cut off. Run the same command again, or use another generator."
    )
