"""Control tokens and leftovers of chat templates within texts."""

from collections import Counter
from collections.abc import Iterator

import polars as pl

from prefopt_core.lint.findings import Finding, Known, of_rows

_SIDES = ("whole", "chosen", "rejected")
_MARKS = (
    r"<\|\w(?:[\w ]{0,38}\w)?\|>|<｜[^｜\n]{1,40}｜>"  # ChatML, Llama 3, Phi; DeepSeek
    r"|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"  # Llama 2, Mistral; Gemma
    r"|<(?:bos|eos|pad|unk)>|\A\s*<s>|</s>\s*\z"  # <s> amid a text is HTML
    r"|(?m:^### (?:Instruction|Input|Response|Human|Assistant):)"  # Alpaca, Vicuna
)
_TURNS = r"\A\s*(?:Human|Assistant|USER|ASSISTANT): |\n\n(?:Human|Assistant|USER|ASSISTANT): "
"""Turns as plain text, as in HH-RLHF; of a response they are leftovers, in a prompt a quotation."""


def control_tokens(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A text has the name of a control token, of a turn, or of a template's part."""
    found = pairs.select(
        "row",
        *(_found(side, known).alias(side) for side in _SIDES),
    ).filter(pl.any_horizontal(pl.col(_SIDES).is_not_null()))
    if found.is_empty():
        return
    counts = Counter(mark.strip() for side in _SIDES for mark in found[side].drop_nulls().to_list())
    names = ", ".join(name for name, _ in counts.most_common(3))
    yield from of_rows(
        pairs,
        pl.col("row").is_in(found["row"].to_list()),
        f"have control tokens or parts of a chat template in their texts: {names}",
        "Remove them there: the template of the policy writes its own.",
    )


def _found(side: str, known: Known) -> pl.Expr:
    """The first mark of each text; null if it has none."""
    text = pl.col(side)
    usual = text.str.extract(f"({_MARKS if side == 'whole' else f'{_MARKS}|{_TURNS}'})")
    if not known.control:
        return usual
    own = text.str.extract_many(sorted(known.control)).list.first()
    return pl.coalesce(usual, own)
