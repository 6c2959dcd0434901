"""Generators of candidate responses. One file each, and one line in `GENERATORS`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from prefopt_core.ground.registry import Registry


@dataclass(frozen=True)
class Response:
    """One response, with its token ids and log-probability where they are known.

    Attributes:
        text: The response without special tokens and without reasoning.
        finish_reason: stop: the policy ended it; length: cut off; given: from a file.
        prompt_token_ids: Input of the policy.
        token_ids: Output of the policy, reasoning included; ends with an end token iff `stop`.
        logps: Summed log-probability of `token_ids` under the policy at temperature 1.
        template: Digest of the chat template behind `prompt_token_ids`.
        writer: Name of the model that wrote it, if not the policy of the run.
    """

    text: str
    finish_reason: Literal["stop", "length", "given"]
    prompt_token_ids: Sequence[int] | None = None
    token_ids: Sequence[int] | None = None
    logps: float | None = None
    template: str | None = None
    writer: str | None = None


Generator = Callable[..., list[list[Response]]]
"""`(prompts, model: Path | None, n, seed, *, **params) -> responses per prompt`."""

GENERATORS: Registry[Generator] = Registry(
    "generator",
    {
        "file": "prefopt_core.generation.given:generate",
        "openai": "prefopt_core.generation.openai_api:generate",
        "transformers": "prefopt_core.generation.transformers_local:generate",
        "vllm": "prefopt_core.generation.vllm_offline:generate",
    },
    "prefopt.generators",
)

__all__ = ["GENERATORS", "Generator", "Response"]
