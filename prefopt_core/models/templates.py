"""Chat templates: conversations as texts, and how a template writes an assistant's turn."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, quoted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REASONING = (
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel>thought", "<channel|>"),
)
"""What opens and what closes the reasoning that some models write before their answer."""

TAGS = tuple((f"<{name}>", f"</{name}>") for name in ("thinking", "thought", "reasoning"))
"""The same of fewer models; of others such a tag is the form of answer that a prompt asks for."""

_ASKED, _ANSWERED, _NEXT = "Xq7asked", "Xq7answered", "Xq7next"


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
    except (TemplateError, TypeError) as error:
        raise DataError(
            f"The chat template of {tokenizer.name_or_path} does not take the roles "
            f"{', '.join(m['role'] for m in messages)} of the prompt "
            f"{quoted(messages[0]['content'])}: {error}. Change the prompt or the template."
        ) from error


def require_all_said(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], written: str
) -> None:
    """Refuse a conversation of which the template leaves out what a user or the system says.

    Args:
        tokenizer: Of the model.
        messages: The conversation.
        written: What the template made of it; white space may be another.

    Raises:
        DataError: A message is not there.
    """
    there = "".join(written.split())
    for message in messages:
        words = "".join(message["content"].split())
        if message["role"] != "assistant" and words not in there:  # reasoning may be left out
            raise DataError(
                f"The chat template of {tokenizer.name_or_path} leaves out the "
                f"{message['role']}'s message {quoted(message['content'])}. Put it into another "
                "message, or set `policy.params.chat_template` to a template that has it."
            )


@dataclass(frozen=True)
class Turn:
    """How a template writes an assistant's turn behind the prompt, found by writing some.

    Attributes:
        lead: What stands between the prompt and the response; None: a conversation does not begin
            with its prompt, or the template refuses or changes the words that were tried.
        trail: What stands between the response and the token that ends the turn, or else the end
            of the conversation.
        ends: The names of tokens that the template writes next behind a response: at the end of a
            conversation, and amid one, where it may be another; none if it writes none.
        unopened: The start of the turn that the template writes into conversations and not into
            prompts; "" if prompts have it, too.
        reasoning: The reasoning that prompts open, as in `REASONING`; None: they open none.
    """

    lead: str | None = None
    trail: str = ""
    ends: tuple[str, ...] = ()
    unopened: str = ""
    reasoning: tuple[str, str] | None = None


def reasoning_of(tokenizer: "PreTrainedTokenizerBase") -> tuple[tuple[str, str], ...]:
    """The pairs of `REASONING`, and those of `TAGS` that the model knows."""
    return _reasoning(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)
def _reasoning(tokenizer: "PreTrainedTokenizerBase", template: str) -> tuple[tuple[str, str], ...]:
    known = (template, *tokenizer.get_added_vocab())
    return (*REASONING, *(pair for pair in TAGS if any(pair[1] in text for text in known)))


def turn_of(tokenizer: "PreTrainedTokenizerBase") -> Turn:
    """How the tokenizer's chat template writes an assistant's turn."""
    return _turn(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=4)
def _turn(tokenizer: "PreTrainedTokenizerBase", template: str) -> Turn:
    asked = {"role": "user", "content": _ASKED}
    answered = {"role": "assistant", "content": _ANSWERED}
    try:
        prompt = rendered(tokenizer, [asked], add_generation_prompt=True)
        bare = rendered(tokenizer, [asked])
        whole = rendered(tokenizer, [asked, answered])
    except DataError:  # nothing is known; each conversation is looked at by itself
        return Turn()
    begun = behind_prompt(whole, prompt)
    before, _, behind = (begun or whole).removeprefix(prompt).partition(_ANSWERED)
    lead = before if begun and _ANSWERED in begun else None
    last = first_added_token(tokenizer, behind)
    ends = {last.group()} if last else set()
    # Inside a turn of several parts (channels, reasoning) the same token may end a part.
    if lead is not None and not first_added_token(tokenizer, lead):
        ends |= _end_amid(tokenizer, [asked, answered])
    return Turn(
        lead=lead,
        trail=behind[: last.start()] if last else behind.rstrip(),
        ends=tuple(sorted(ends)),
        unopened=(lead or "").strip() if prompt == bare else "",
        reasoning=next((p for p in (*REASONING, *TAGS) if prompt.rstrip().endswith(p[0])), None),
    )


def _end_amid(tokenizer: "PreTrainedTokenizerBase", turns: list[Message]) -> set[str]:
    """The first token behind a response that is followed by a further turn."""
    try:
        longer = rendered(tokenizer, [*turns, {"role": "user", "content": _NEXT}])
    except DataError:
        return set()
    behind = longer.partition(_ANSWERED)[2].partition(_NEXT)[0]
    found = first_added_token(tokenizer, behind)
    return {found.group()} if found else set()


def behind_prompt(whole: str, prompt: str) -> str | None:
    """A conversation as it stands behind its prompt; None: it does not begin with the prompt.

    Some prompts end in a block without reasoning, for the model to answer at once; conversations
    need not have it.
    """
    if whole.startswith(prompt):
        return whole
    for begin, end in REASONING:
        start, begun, block = prompt.rpartition(begin)
        behind = whole.removeprefix(start).lstrip()
        closed = begun and block.rstrip().endswith(end)
        if closed and whole.startswith(start) and not behind.startswith(begin):
            return prompt + whole.removeprefix(start)
    return None


def first_added_token(tokenizer: "PreTrainedTokenizerBase", text: str) -> "re.Match[str] | None":
    """The first token in a text that was added to the vocabulary by name, but for white space."""
    return _added_tokens(tokenizer, len(tokenizer)).search(text)


@lru_cache(maxsize=4)
def _added_tokens(tokenizer: "PreTrainedTokenizerBase", size: int) -> "re.Pattern[str]":
    names = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    names |= {tokenizer.eos_token or ""}
    longest_first = sorted((name for name in names if name.strip()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))
