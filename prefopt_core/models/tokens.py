"""Tokenizers and chat templates: messages to token ids, for generation, scoring and training."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import Message, digest_of, quoted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN_TEMPLATE = (
    "{% for m in messages %}{{ m['content'] }}"
    "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
)
"""Chat template for base models: the prompt's text, then the response, without role tokens."""


@lru_cache(maxsize=4)
def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder; it must have a chat template.

    Raises:
        ConfigError: There is no tokenizer, chat template, or end-of-sequence token.
    """
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
    """The tokenizer of a folder or hub id, with or without a chat template; it has a padding token.

    Raises:
        ConfigError: It cannot be loaded.
    """
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
    """Digest of the chat template, to notice a change between sampling and training."""
    return digest_of("template", str(tokenizer.chat_template))


def prompt_token_ids(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]
) -> list[int]:
    """Token ids of a prompt up to where the response begins, with one BOS if the model has one.

    Raises:
        DataError: The chat template does not take the prompt's roles.
    """
    return encoded(tokenizer, rendered(tokenizer, messages, add_generation_prompt=True))


def rendered(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = False,
) -> str:
    """A conversation as text, by the chat template.

    Raises:
        DataError: The chat template does not take the roles of the messages.
    """
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
            f"{quoted(messages[0]['content'])}: {error}. Change the prompt or the template."
        ) from error


def encoded(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Token ids of a text made by a chat template, with one BOS if the model has one."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    # Some templates write the BOS and some tokenizers add it; asking for both gives two.
    if bos is not None and ids[:1] != [bos] and tokenizer("")["input_ids"][:1] == [bos]:
        ids = [bos, *ids]
    return ids


def response_token_ids(
    tokenizer: "PreTrainedTokenizerBase", response: str, *, finished: bool = True
) -> list[int]:
    """Token ids of a response given as text; ends with EOS unless it was cut off."""
    ids: list[int] = tokenizer(response, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id] if finished else ids


Tokens = Sequence[int]
