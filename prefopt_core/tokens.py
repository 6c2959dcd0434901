"""The one way from messages to token ids: for generation, scoring and training alike."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from prefopt_core.errors import ConfigError
from prefopt_core.tables import Message, digest_of

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
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"The model folder {folder} has no tokenizer that can be loaded ({error}). Put the "
            "tokenizer's files beside the weights."
        ) from error
    if not tokenizer.chat_template:
        raise ConfigError(
            f"The model folder {folder} has no chat template. Set `policy.params.chat_template` to "
            "'plain' (a base model: prompts are continued as they are) or to a Jinja file."
        )
    if tokenizer.eos_token_id is None:
        raise ConfigError(f"The tokenizer in {folder} has no end-of-sequence token. Set one.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def template_digest(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Names the chat template, so that a change between sampling and training is noticed."""
    return digest_of("template", str(tokenizer.chat_template))


def prompt_ids(tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message]) -> list[int]:
    """Token ids of a prompt, up to where the response begins, with exactly one BOS if any."""
    text = tokenizer.apply_chat_template(
        [dict(m) for m in messages], tokenize=False, add_generation_prompt=True
    )
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
