"""Responses that were cut off."""

from collections.abc import Iterator

import polars as pl

from prefopt_core.labels.estimates import share
from prefopt_core.lint.findings import Finding, Known
from prefopt_core.lint.texts import responses_of

MANY = 0.1
"""Share of sampled responses cut off above which to warn; that a few are is usual."""
_AMID = (
    r"[,(\[{]\s*\z"
    r"|(?i:\s(?:a|an|the|and|or|but|of|to|in|with|for|from|by|is|are|was|were|that|which|as|my|your"
    r"|their|its|our|because|if|when|such|into|be|has|have)\s*\z)"
)
_BREAKS_OFF = f"{_AMID}|[，、：]\\s*\\z"
_FENCE = r"(?m)^[ \t]*```"
_FEWEST = 5
_CHARACTERS = 200
"""The shortest limit of characters that somebody would cut at."""


def truncated(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A response ends amid a sentence or a code block, or many end at the same length."""
    if "chosen_token_ids" in pairs.columns:
        yield from _at_the_limit(pairs)
    elif "chosen_finished" in pairs.columns:
        yield from _many(responses_of(pairs, "finished"), ~pl.col("finished"))
    else:
        yield from _amid(pairs)


def _at_the_limit(pairs: pl.DataFrame) -> Iterator[Finding]:
    """Of sampled token ids: as long as the longest, and without the token that ends the others."""
    responses = responses_of(pairs, "token_ids").with_columns(
        length=pl.col("token_ids").list.len(), last=pl.col("token_ids").list.last()
    )
    end = responses["last"].mode().sort().first()
    cut = (pl.col("length") == pl.col("length").max()) & (pl.col("last") != end)
    yield from _many(responses, cut)


def _many(responses: pl.DataFrame, which: pl.Expr) -> Iterator[Finding]:
    cut, of = responses.filter(which), responses.height
    hits = responses.select(which).to_series().to_numpy()
    figure = share(hits, responses["prompt_id"].to_numpy())
    if figure.enough and figure.low > MANY:
        chosen = cut.filter(pl.col("side") == "chosen").height
        yield Finding(
            f"{cut.height} of {of} responses are cut off, {chosen} of them chosen",
            "Raise `generation.params.max_new_tokens`.",
            cut.height,
            of,
            tuple(cut["row"].unique().sort().to_list()),
        )


def _amid(pairs: pl.DataFrame) -> Iterator[Finding]:
    """Of texts: a fence that is not closed, a comma or a word that ends no sentence, one length."""
    responses = responses_of(pairs)
    text, length = pl.col("text"), pl.col("text").str.len_chars()
    longest = responses.select(length.max()).item() or 0
    at_limit = (length == longest) & pl.lit(longest >= _CHARACTERS) & text.is_first_distinct()
    asked_for = pl.col("asked").str.contains(_BREAKS_OFF)  # to translate or go on with half of it
    found = {
        "end amid a sentence": text.str.contains(_AMID) & ~asked_for,
        "end within a block of code": text.str.count_matches(_FENCE) % 2 == 1,
        f"have {longest:,} characters, as many as the longest": at_limit,
    }
    for what, which in found.items():
        cut = responses.filter(which)
        if cut.height < (_FEWEST if which is at_limit else 1):
            continue
        chosen = cut.filter(pl.col("side") == "chosen").height
        yield Finding(
            f"{cut.height} of {responses.height} responses {what}, {chosen} of them chosen",
            "They look cut off: complete or remove them, at least the chosen ones.",
            cut.height,
            responses.height,
            tuple(cut["row"].unique().sort().to_list()),
        )
