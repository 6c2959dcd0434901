"""Tokenizers: messages to token ids, for generation, scoring and training."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Message, digest_of
from prefopt_core.models.folder import NO_CODE, refuse_code
from prefopt_core.models.literal import Masks, masked, read
from prefopt_core.models.templates import rendered, require_all_said, turn_of

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
        ConfigError: There is no tokenizer, end-of-sequence token or chat template, or none that can
            be used.
    """
    tokenizer = any_tokenizer(folder)
    if isinstance(tokenizer.chat_template, dict) and "default" not in tokenizer.chat_template:
        raise ConfigError(
            f"The model folder {folder} has the chat templates "
            f"{', '.join(sorted(tokenizer.chat_template))}, and none is named 'default'. Write the "
            "one to use into a file and set `policy.params.chat_template` to that."
        )
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
    if unopened := turn_of(tokenizer).unopened:
        raise ConfigError(
            f"The chat template of {folder} begins a response with {unopened!r} in a conversation, "
            "but not behind a prompt: the model would go on with what the user says. Add "
            "`{% if add_generation_prompt %}` with that text to the template, or set "
            "`policy.params.chat_template` to a Jinja file that has it."
        )
    return tokenizer


def any_tokenizer(source: Path | str) -> "PreTrainedTokenizerBase":
    """The tokenizer of a folder or hub id, with or without a chat template; it has a padding token.

    Raises:
        ConfigError: It cannot be loaded.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, **NO_CODE)
    except Exception as error:  # `tokenizers` raises nothing narrower
        refuse_code(source, error)
        raise ConfigError(
            f"The model {source} has no tokenizer that can be loaded ({error}). Put the "
            "tokenizer's files beside the weights."
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def template_digest(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Digest of the chat template, to notice a change between sampling and training."""
    return digest_of("template", str(tokenizer.get_chat_template()))


def prompt_token_ids(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]
) -> list[int]:
    """Token ids of a prompt up to where the response begins, with one BOS if the model has one.

    Raises:
        DataError: The chat template does not take the prompt's roles, or leaves a message out.
    """
    return _token_ids(tokenizer, messages, add_generation_prompt=True)


def conversation_token_ids(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]
) -> list[int]:
    """Token ids of a whole conversation, with one BOS if the model has one.

    Raises:
        DataError: The chat template does not take the roles of the messages.
    """
    return _token_ids(tokenizer, messages, add_generation_prompt=False)


def _token_ids(
    tokenizer: "PreTrainedTokenizerBase",
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
) -> list[int]:
    said, masks = masked(tokenizer, messages)
    text = rendered(tokenizer, said, add_generation_prompt=add_generation_prompt)
    require_all_said(tokenizer, said, text)
    return encoded(tokenizer, text, masks)[0]


def encoded(
    tokenizer: "PreTrainedTokenizerBase", text: str, masks: Masks
) -> tuple[list[int], list[int]]:
    """Token ids of what a template wrote, one BOS if the model has one, and where each begins.

    Raises:
        DataError: The text of a message can only be read as a control token.
    """
    ids, places = read(tokenizer, text, masks)
    bos = tokenizer.bos_token_id
    # Some templates write the BOS and some tokenizers add it; asking for both gives two.
    if bos is not None and bos not in ids and tokenizer("")["input_ids"][:1] == [bos]:
        return [bos, *ids], [0, *places]
    return ids, places


Tokens = Sequence[int]
