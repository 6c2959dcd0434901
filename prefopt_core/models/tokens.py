"""The one way from messages to token ids: for generation, scoring and training alike."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import Message, digest_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
"""For base models: the prompt as it is, the response right behind it."""


@lru_cache(maxsize=4)
def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder; it must have a chat template."""
    tokenizer = any_tokenizer(folder)
    if not tokenizer.chat_template:
        raise ConfigError(
            f"The model folder {folder} has no chat template. Set `policy.params.chat_template` to "
            "'plain' (a base model: prompts are continued as they are) or to a Jinja file."
        )
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"The tokenizer in {folder} has no end-of-sequence token. Set `eos_token` in its "
            "tokenizer_config.json."
        )
    return tokenizer


def any_tokenizer(source: Path | str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder or hub id, whatever its model is for; it can pad."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source)
    except Exception as error:  # `tokenizers` raises nothing narrower
        raise ConfigError(
            f"The model {source} has no tokenizer that can be loaded ({error}). Put the "
            "tokenizer's files beside the weights."
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def template_digest(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Names the chat template, so that a change between sampling and training is noticed."""
    return digest_of("template", str(tokenizer.chat_template))


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> list[int]:
    """Token ids of a prompt, up to where the response begins, with exactly one BOS if any."""
    return encoded(tokenizer, rendered(tokenizer, messages, add_generation_prompt=True))


def rendered(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """A conversation as the chat template writes it."""
    from jinja2 import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                [dict(m) for m in messages],
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        )
    except TemplateError as error:
        raise DataError(
            f"The chat template of {tokenizer.name_or_path} does not take the roles "
            f"{', '.join(m['role'] for m in messages)} of the prompt "
            f"{messages[0]['content'][:60]!r}: {error}. Change the prompt or the template."
        ) from error


def encoded(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of what a chat template wrote, with exactly one BOS if any."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    # Some templates write the BOS and some tokenizers add it; asking for both gives two.
    if bos is not None and ids[:1] != [bos] and tokenizer("")["input_ids"][:1] == [bos]:
        ids = [bos, *ids]
    return ids


def response_ids(
    tokenizer: "PreTrainedTokenizerBase", response: str, *, finished: bool = True
) -> list[int]:
    """Token ids of a response given as text; ends with EOS unless it was cut off."""
    ids: list[int] = tokenizer(response, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id] if finished else ids


Tokens = Sequence[int]
