"""Responses behind their prompts: texts to token ids as the template writes them, and back."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, last_text, quoted
from prefopt_core.models.literal import Masks, control_tokens, masked, read
from prefopt_core.models.templates import (
    REASONING,
    behind_prompt,
    first_added_token,
    reasoning_of,
    rendered,
    require_all_said,
    turn_of,
)
from prefopt_core.models.tokens import Tokens, encoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pairs = Sequence[tuple[str, str]]
"""What opens and what closes reasoning."""


def turn_token_ids(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: Sequence[Message],
    response: str,
    *,
    finished: bool = True,
) -> tuple[list[int], list[int]]:
    """(prompt, response) token ids of texts: together the conversation as the template writes it.

    The prompt's are those of generation. The response's go up to the token that ends the turn, or,
    where the template writes none, have the tokenizer's EOS at their end; those of a response that
    was cut off (not `finished`) go up to its last word.

    Raises:
        DataError: The template does not take the prompt's roles; or it writes the conversation so
            that the response does not stand whole behind the prompt.
    """
    answer = {"role": "assistant", "content": response}
    marks = _begun(response, reasoning_of(tokenizer)) or ()
    (*asked, answer), masks = masked(tokenizer, [*prompt, answer], "".join(marks))
    start = rendered(tokenizer, asked, add_generation_prompt=True)
    require_all_said(tokenizer, asked, start)
    about = f"the response {quoted(response)} to the prompt {quoted(last_text(prompt))}"
    whole = behind_prompt(rendered(tokenizer, [*asked, answer]), start)
    opened = turn_of(tokenizer).reasoning
    if whole is None or (opened and opened[1] not in whole[len(start) :]):
        raise DataError(_not_behind(tokenizer, start, about))
    end = _end_of(answer["content"], whole, len(start), turn_of(tokenizer).lead or "")
    if end is None:
        raise DataError(
            f"The chat template of {tokenizer.name_or_path} does not write all of {about}. Change "
            "the response or the template; templates of thinking models leave reasoning out."
        )
    text, ended = whole[:end], False
    if finished:
        _refuse_end_as_text(tokenizer, answer["content"], masks, about)
        text, ended = _with_end(tokenizer, whole, end)
    prompt_ids, ids = _behind(tokenizer, text, start, masks, about)
    return prompt_ids, [*ids, tokenizer.eos_token_id] if finished and not ended else ids


def _with_end(tokenizer: "PreTrainedTokenizerBase", whole: str, end: int) -> tuple[str, bool]:
    """The conversation up to the token that ends the turn, and whether there is such a token."""
    last = first_added_token(tokenizer, whole[end:])
    if last:
        return whole[: end + last.end()], True
    return whole[:end] + whole[end:].rstrip(), False


def _refuse_end_as_text(
    tokenizer: "PreTrainedTokenizerBase", response: str, masks: Masks, about: str
) -> None:
    if name := masks.get(response.rstrip()[-1:]):
        raise DataError(
            f"The text {name} stands at the end of {about}. It is the name of a control token of "
            f"{tokenizer.name_or_path}, whose template ends the turn itself. Remove it there."
        )


def _behind(
    tokenizer: "PreTrainedTokenizerBase", text: str, start: str, masks: Masks, about: str
) -> tuple[list[int], list[int]]:
    """Token ids of the start of a text, and of the rest of it behind those."""
    before, _ = encoded(tokenizer, start, masks)
    ids, places = encoded(tokenizer, text, masks)
    if ids[: len(before)] == before:
        return before, ids[len(before) :]
    wanted = decoded(tokenizer, ids)
    for tail in _tails(tokenizer, text, len(start), masks, ids, places):
        if decoded(tokenizer, [*before, *tail]) == wanted:
            return before, tail
    raise DataError(
        f"The tokenizer of {tokenizer.name_or_path} cannot write {about} behind that prompt: some "
        "of its tokens are part prompt and part response. Change the template, so that a prompt "
        "ends where a token ends."
    )


def text_end(tokenizer: "PreTrainedTokenizerBase", prompt: Tokens, response: Tokens) -> int | None:
    """How many tokens a response has up to a plain text by which the template ends turns.

    None: the template ends them by a token, or by nothing, or the text is not there.
    """
    turn = turn_of(tokenizer)
    mark = "" if turn.ends else turn.trail.strip()
    if not mark or mark not in _continuation(tokenizer, prompt, response):
        return None
    counts = range(1, len(response) + 1)
    return counts[
        bisect_left(
            counts, True, key=lambda n: mark in _continuation(tokenizer, prompt, response[:n])
        )
    ]


def response_text(
    tokenizer: "PreTrainedTokenizerBase",
    prompt: Tokens,
    response: Tokens,
    *,
    finished: bool,
    spelt: bool = False,
) -> str | None:
    """The text of sampled token ids: the message that the template would write so.

    It has the space that its first token carries behind the prompt, unless that is the template's,
    and no reasoning.

    Args:
        tokenizer: Of the model that wrote it.
        prompt: Token ids of its prompt.
        response: Its own.
        finished: Whether the last of them is a token that ends responses.
        spelt: Whether the last of them spell the text by which the template ends turns.

    Returns:
        The text; None if the response is cut off within its reasoning, before an answer.
    """
    turn, hidden = turn_of(tokenizer), set(_hidden(tokenizer).values())
    kept = [token for token in response[: len(response) - finished] if token not in hidden]
    text = _continuation(tokenizer, prompt, kept)
    if turn.lead and text.startswith(turn.lead):
        text = text.removeprefix(turn.lead)
    else:
        answer = without_reasoning(text, turn.reasoning, reasoning_of(tokenizer))
        if answer is None:
            return None
        text = answer
    if spelt:
        before, mark, _ = turn.trail.partition(turn.trail.strip())
        return text.rpartition(mark)[0].removesuffix(before)
    return text.removesuffix(turn.trail) if finished else text


def control_tokens_amid(
    tokenizer: "PreTrainedTokenizerBase", response: Tokens, *, finished: bool
) -> list[str]:
    """Names of the control tokens that a response has before its end, and its text has not."""
    amid = set(response[: len(response) - finished])
    return [name for name, number in _hidden(tokenizer).items() if number in amid]


def _hidden(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """The control tokens that no text shows: all but those that mark reasoning."""
    marks = "".join(chain.from_iterable(reasoning_of(tokenizer)))
    return {name: i for name, i in control_tokens(tokenizer).items() if name not in marks}


def without_reasoning(
    text: str, opened: tuple[str, str] | None = None, pairs: Pairs = REASONING
) -> str | None:
    """What stands behind the reasoning that a text begins with; None if it does not end.

    Args:
        text: A response. Without reasoning it stays as it is.
        opened: What opens and closes the reasoning, if the prompt has opened it.
        pairs: What may open and close it, if it has not.

    >>> without_reasoning("<think>Hm.</think> Yes."), without_reasoning("<think>Hm.")
    ('Yes.', None)
    """
    pair = opened or _begun(text, pairs)
    if pair is None:
        return text
    _, closed, answer = text.partition(pair[1])
    return answer.lstrip() if closed else None


def _begun(text: str, pairs: Pairs) -> tuple[str, str] | None:
    """What opens and closes the reasoning that a text begins with, if it does."""
    return next((pair for pair in pairs if text.lstrip().startswith(pair[0])), None)


def decoded(tokenizer: "PreTrainedTokenizerBase", ids: Tokens) -> str:
    """The text of token ids, control tokens by their names."""
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def _continuation(tokenizer: "PreTrainedTokenizerBase", prompt: Tokens, ids: Tokens) -> str:
    """The text of token ids behind a prompt: alone, their first one would lose its space."""
    for context in (prompt[-1:], prompt):  # a token may be part of a character
        start, text = decoded(tokenizer, context), decoded(tokenizer, [*context, *ids])
        if text.startswith(start):
            return text.removeprefix(start)
    return decoded(tokenizer, ids)


def _end_of(response: str, whole: str, at: int, lead: str) -> int | None:
    """Where a response ends in a conversation whose prompt ends at `at`; None: not all is there."""
    if whole.startswith(lead, at):
        at += len(lead)
    if whole.startswith(response, at):
        return at + len(response)
    # Templates trim, and set reasoning apart by line breaks: white space need not be the same.
    written = [i for i in range(at, len(whole)) if not whole[i].isspace()]
    words = "".join(response.split())
    found = "".join(whole[i] for i in written).find(words)
    return None if found < 0 else written[found + len(words) - 1] + 1 if words else at


def _tails(
    tokenizer: "PreTrainedTokenizerBase",
    text: str,
    at: int,
    masks: Masks,
    ids: list[int],
    places: list[int],
) -> Iterator[list[int]]:
    """Token ids for `text[at:]`: as many of the text's own `ids` as can be, and others before."""
    for number in [i for i, place in enumerate(places) if place >= at] + [len(ids)]:
        head = text[at : [*places, len(text)][number]]
        for before in ("", "\n", "a", "."):  # behind one of them it stands as amid a text
            start, both = (read(tokenizer, words, masks)[0] for words in (before, before + head))
            if both[: len(start)] == start:
                yield both[len(start) :] + ids[number:]


def _not_behind(tokenizer: "PreTrainedTokenizerBase", start: str, about: str) -> str:
    if opened := turn_of(tokenizer).reasoning:
        return (
            f"By the chat template of {tokenizer.name_or_path} prompts end in {opened[0]}, and "
            f"{about} has no reasoning that would end in {opened[1]}. Let the model write the "
            "responses, or set `policy.params.chat_template` to a Jinja file that does not open it."
        )
    return (
        f"The chat template of {tokenizer.name_or_path} writes the prompt otherwise once it has "
        f"{about}: the conversation does not begin with {start[-60:]!r}, in which the prompt ends. "
        "Change the template, so that a conversation begins with its prompt."
    )
