"""Text in messages that looks like a control token stays text.

A tokenizer takes `</s>` or `<|im_start|>` for the control token wherever it stands in the text that
a template writes. So in messages such names are masked by single characters before the template
writes them. Where there were some, the text is read by a copy of the tokenizer that has other names
for its control tokens; what the template wrote is renamed, what the messages say is not.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import Message, quoted
from prefopt_core.models.templates import turn_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

Masks = Mapping[str, str]
"""Character → the name of a control token, which it stands for in a text."""

_MASKS = range(0xF0000, 0xFFFFE)  # for private use; texts that have some of them get others


def control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Name → id of the tokens that no text may become: special ones, and those that end turns."""
    return _control_tokens(tokenizer, turn_of(tokenizer).ends)


@lru_cache(maxsize=4)
def _control_tokens(tokenizer: "PreTrainedTokenizerBase", ends: tuple[str, ...]) -> dict[str, int]:
    special = {
        str(token): number
        for number, token in tokenizer.added_tokens_decoder.items()
        if token.special and str(token).strip()
    }
    named = {name for name in (*tokenizer.all_special_tokens, *ends) if name.strip()}
    ids: Any = tokenizer.convert_tokens_to_ids(sorted(named))
    return special | dict(zip(sorted(named), ids, strict=True))


def masked(
    tokenizer: "PreTrainedTokenizerBase", messages: Sequence[Message], meant: str = ""
) -> tuple[list[Any], Masks]:
    """Messages without names of control tokens, and what stands for these.

    Args:
        tokenizer: Of the model.
        messages: A conversation.
        meant: Names that the last message has as the tokens themselves: marks of its reasoning.
    """
    pattern = _any_of(tuple(control_tokens(tokenizer)))
    text = "\0".join(_texts(list(messages)))
    found = sorted({match.group() for match in pattern.finditer(text)})
    if not found:
        return list(messages), {}
    free = (chr(code) for code in _MASKS if chr(code) not in text)
    masks = dict(zip(found, free, strict=False))
    spared = {name: name if name in meant else mask for name, mask in masks.items()}
    changed = [
        *_changed(list(messages[:-1]), lambda part: pattern.sub(lambda m: masks[m[0]], part)),
        *_changed(list(messages[-1:]), lambda part: pattern.sub(lambda m: spared[m[0]], part)),
    ]
    return changed, {mask: name for name, mask in masks.items()}


@lru_cache(maxsize=8)
def _any_of(names: tuple[str, ...]) -> "re.Pattern[str]":
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return list(chain.from_iterable(map(_texts, inner)))


def _changed(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _changed(inner, change) for name, inner in value.items()}
    return [_changed(inner, change) for inner in value] if isinstance(value, list) else value


def unmasked(text: str, masks: Masks) -> str:
    """A text with the names that were masked."""
    return "".join(masks.get(character, character) for character in text)


def read(
    tokenizer: "PreTrainedTokenizerBase", text: str, masks: Masks
) -> tuple[list[int], list[int]]:
    """Token ids of a masked text, and where each token begins in it; without a BOS of its own.

    Tokenizers in Python do not know where, and read names as control tokens only.

    Raises:
        DataError: The tokenizer takes the text of a message for a control token all the same.
    """
    fast = tokenizer.is_fast
    if not masks:
        written = tokenizer(text, add_special_tokens=False, return_offsets_mapping=fast)
        ids = written["input_ids"]
        return ids, [start for start, _ in written["offset_mapping"]] if fast else [0] * len(ids)
    if not fast:
        raise DataError(_only_control(tokenizer, text, masks))
    controls = control_tokens(tokenizer)
    copy, names, ids_by_copy = _renamed(tokenizer, tuple(controls.items()))
    shown, places = _spelt(text, masks, names)
    encoding = copy.encode(shown, add_special_tokens=False)
    ids = [ids_by_copy.get(token, token) for token in encoding.ids]
    ends = {number for name, number in controls.items() if name != tokenizer.unk_token}
    written = sum(shown.count(other) for name, other in names.items() if controls[name] in ends)
    if sum(token in ends for token in ids) != written:
        raise DataError(_only_control(tokenizer, text, masks))
    return ids, [places[start] for start, _ in encoding.offsets]


def _only_control(tokenizer: "PreTrainedTokenizerBase", text: str, masks: Masks) -> str:
    return (
        f"A message has the text {', '.join(sorted(masks.values()))}, which the tokenizer of "
        f"{tokenizer.name_or_path} can only read as a control token. Remove it there: "
        f"{quoted(unmasked(text[-60:], masks))}."
    )


def _spelt(text: str, masks: Masks, names: Mapping[str, str]) -> tuple[str, list[int]]:
    """A masked text as the copy reads it, and the place in the text of each of its characters."""
    pattern, shown, places, at = _any_of((*masks, *names)), "", list[int](), 0
    for match in pattern.finditer(text):
        spelt = masks.get(match.group()) or names[match.group()]
        shown += text[at : match.start()] + spelt
        places += [*range(at, match.start()), *[match.start()] * len(spelt)]
        at = match.end()
    return shown + text[at:], [*places, *range(at, len(text))]


@lru_cache(maxsize=2)
def _renamed(
    tokenizer: "PreTrainedTokenizerBase", controls: tuple[tuple[str, int], ...]
) -> "tuple[Tokenizer, dict[str, str], dict[int, int]]":
    """A copy of the tokenizer whose control tokens have other names; old → new; ids: new → old."""
    from tokenizers import AddedToken, Tokenizer

    names = {name: f"\ue000{token_hex(16)}\ue000" for name, _ in controls}  # in no text
    settings = json.loads(tokenizer.backend_tokenizer.to_str())
    model = settings["model"]  # also there: Unigram would find the names amid a text
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(word, word): number for word, number in model["vocab"].items()}
    else:
        model["vocab"] = [[names.get(word, word), score] for word, score in model["vocab"]]
    model["unk_token"] = names.get(model.get("unk_token"), model.get("unk_token"))
    added = {token["content"]: token for token in settings["added_tokens"]}
    copy = Tokenizer.from_str(json.dumps(settings | {"added_tokens": [], "post_processor": None}))
    ids: dict[Any, int] = {}
    for name, number in ({n: t["id"] for n, t in added.items()} | dict(controls)).items():
        token = added.get(name, {"normalized": False})
        flags = {f: token.get(f, False) for f in ("single_word", "lstrip", "rstrip", "normalized")}
        copy.add_tokens([AddedToken(names.get(name, name), **flags)])
        ids[copy.token_to_id(names.get(name, name))] = number
    return copy, names, ids
