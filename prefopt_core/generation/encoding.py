"""Prompts to token ids, and the end tokens of a model: shared by transformers and vLLM."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Prompt, last_text, quoted
from prefopt_core.models.tokens import prompt_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def model_for(generator: str, model: Path | None) -> Path:
    """The policy's folder.

    Raises:
        ConfigError: There is none, and `generator` needs it.
    """
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
    """Token ids of the prompts, by the chat template.

    Args:
        tokenizer: Of the model.
        prompts: The prompts.
        max_new_tokens: The most tokens of a response.
        limit: Positions of the model: the most tokens of a prompt and its response; None: any.
        lift: Name of the setting that raises the limit, if there is one.

    Raises:
        ConfigError: A prompt and its response do not fit the limit.
        DataError: The chat template does not take a prompt's roles.
    """
    encoded = [prompt_token_ids(tokenizer, prompt.messages) for prompt in prompts]
    longest = max(range(len(encoded)), key=lambda i: len(encoded[i]), default=None)
    if limit and longest is not None and len(encoded[longest]) + max_new_tokens > limit:
        raised = f"Raise `{lift}`, lower" if lift else "Lower"
        raise ConfigError(
            f"A prompt of {len(encoded[longest])} tokens and {max_new_tokens} new ones do "
            f"not fit the model's {limit} positions. "
            f"{raised} `generation.params.max_new_tokens` or "
            f"drop the prompt {quoted(last_text(prompts[longest].messages))}."
        )
    return encoded


def end_tokens(tokenizer: "PreTrainedTokenizerBase", generation_config: Any) -> set[int]:
    """The tokens that end a response: the tokenizer's EOS and those of generation_config.json.

    Args:
        tokenizer: Of the model.
        generation_config: Its transformers `GenerationConfig`, or None.
    """
    listed = getattr(generation_config, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(listed if isinstance(listed, list) else [listed])}
    return {end for end in ends if end is not None}


def generation_config_in(folder: Path) -> Any:
    """The `GenerationConfig` of a model folder, without loading its weights."""
    from transformers import AutoConfig, GenerationConfig

    if (folder / "generation_config.json").is_file():
        return GenerationConfig.from_pretrained(folder)
    return GenerationConfig.from_model_config(AutoConfig.from_pretrained(folder))
