"""Pairs without a difference, without a text, or that say nothing but their prompt."""

from collections.abc import Iterator
from itertools import takewhile

import polars as pl

from prefopt_core.lint.findings import Finding, Known, of_rows

_LONG = 20
"""Words from which on one other word is seldom what a pair is about."""
_PROMPT = 5
"""Words of a prompt that does not stand at the beginning of a response by chance."""


def malformed(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Rows that are no pair: a text is missing or empty, or the conversations differ before."""
    if not known.malformed:
        return
    rows, reasons = zip(*known.malformed, strict=True)
    count, of = len(rows), len(rows) + pairs.height
    first, _, _ = reasons[0].rstrip(".").partition(";")
    yield Finding(
        f"{count} of {of} rows are no pair; the first: {first}",
        "Mend or remove them: a run refuses the file.",
        count,
        of,
        rows,
    )


def empty(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A prompt or response that is empty, or white space."""
    blank = [pl.col(side).str.strip_chars() == "" for side in ("asked", "chosen", "rejected")]
    yield from of_rows(
        pairs,
        pl.any_horizontal(blank),
        "have an empty prompt or response",
        "Remove them, or look at what wrote them.",
    )


def identical(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Chosen and rejected are the same text."""
    yield from of_rows(
        pairs,
        pl.col("chosen") == pl.col("rejected"),
        "have the same text as chosen and as rejected",
        "Remove them: they teach nothing.",
    )


def near_identical(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Chosen and rejected differ in case, white space and punctuation, or in one word of many."""
    differ = pl.col("chosen") != pl.col("rejected")
    same = pl.col("chosen_bare") == pl.col("rejected_bare")
    yield from of_rows(
        pairs,
        differ & same,
        "differ in case, white space or punctuation only",
        "Remove them, unless the pairs are about that.",
    )
    one_word = _one_word_apart(pairs.filter(~same))
    yield from of_rows(
        pairs,
        pl.col("row").is_in(one_word),
        f"have {_LONG} words or more and differ in one",
        "See whether that word is what the label is about; else remove them.",
    )


def _one_word_apart(pairs: pl.DataFrame) -> list[int]:
    """Rows of long responses that are the same but for one word, there, gone or another."""
    words = {side: pl.col(f"{side}_bare").str.count_matches(" ") for side in ("chosen", "rejected")}
    fewest = pl.min_horizontal(*words.values()).cast(pl.Int64)
    most = pl.max_horizontal(*words.values()).cast(pl.Int64)
    starts, ends = (
        pl.col("chosen_bare").str.slice(at, 4) == pl.col("rejected_bare").str.slice(at, 4)
        for at in (0, -4)
    )
    near = pairs.filter((fewest + 1 >= _LONG) & (most - fewest <= 1) & (starts | ends))
    texts = near.select("row", "chosen_bare", "rejected_bare").iter_rows()
    return [row for row, *pair in texts if _differ_in_one(*(text.split() for text in pair))]


def _differ_in_one(one: list[str], other: list[str]) -> bool:
    before = _alike(one, other)
    after = _alike(one[before:][::-1], other[before:][::-1])
    return max(len(one), len(other)) - before - after <= 1


def _alike(one: list[str], other: list[str]) -> int:
    """How many words two texts begin with in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def prompt_in_response(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A response is the prompt's own text, or begins with the whole of it."""
    asked = pl.col("asked").str.strip_chars()
    sides = [pl.col(side).str.strip_chars() for side in ("chosen", "rejected")]
    said = asked != ""
    yield from of_rows(
        pairs,
        said & pl.any_horizontal(side == asked for side in sides),
        "have the prompt's own text as a response",
        "Remove them, or look at what wrote them.",
    )
    begins = pl.any_horizontal(side.str.starts_with(asked) & (side != asked) for side in sides)
    in_all = pairs.select((pl.all_horizontal(s.str.starts_with(asked) for s in sides)).all()).item()
    long = asked.str.count_matches(r"\S+") >= _PROMPT
    yield from of_rows(
        pairs,
        said & begins & (long | pl.lit(in_all)),
        "have a response that begins with the prompt's text, which is trained as part of it",
        "Cut it off there, unless the model is to repeat it.",
    )
