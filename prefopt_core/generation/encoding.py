"""What every generator with a model of its own does before it samples: prompts to token ids."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.tokens import prompt_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_for(generator: str, model: Path | None) -> Path:
    """The policy's folder; an error says that `generator` cannot do without."""
    if model is None:
        raise ConfigError(f"Generator {generator!r} needs a model: set `policy`.")
    return model


def encode(
    tokenizer: "PreTrainedTokenizerBase",
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    limit: int | None,
    lift: str = "",
) -> list[list[int]]:
    """Token ids of the prompts; each leaves room for its response within `limit` positions.

    `lift` names the setting that raises the limit, if one does.
    """
    encoded = [prompt_token_ids(tokenizer, prompt.messages) for prompt in prompts]
    longest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if limit and longest is not None and len(encoded[longest]) + max_new_tokens > limit:
        raised = f"Raise `{lift}`, lower" if lift else "Lower"
        raise ConfigError(
            f"A prompt of {len(encoded[longest])} tokens and {max_new_tokens} new ones do "
            f"not fit the model's {limit} positions. "
            f"{raised} `generation.params.max_new_tokens` or "
            f"drop the prompt {prompts[longest].messages[-1]['content'][:60]!r}."
        )
    return encoded


def end_tokens(tokenizer: "PreTrainedTokenizerBase", advice: Any) -> set[int]:
    """What ends a response: the tokenizer's EOS and those that the model's author lists.

    Args:
        tokenizer: Of the model.
        advice: Its transformers `GenerationConfig`, or None.
    """
    listed = getattr(advice, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])}
    return {end for end in ends if end is not None}


def advice_in(folder: Path) -> Any:
    """The author's `GenerationConfig` of a model, without its weights."""
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
