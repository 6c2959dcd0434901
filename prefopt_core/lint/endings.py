"""Responses that were cut off."""

from collections.abc import Iterator

import polars as pl

from prefopt_core.inputs.pairs import SIDES
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
    responses = responses_of(with_finished(pairs), "finished")
    yield from _many(responses.drop_nulls("finished"))
    yield from _amid(responses.filter(pl.col("finished").is_null()))


def with_finished(pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs with what is known of the ends of their responses.

    Args:
        pairs: Table `preferences`. Of sampled token ids those were cut off that are as long as the
            longest and lack the token that ends the others.

    Returns:
        It with `chosen_finished` and `rejected_finished`: false of those that were cut off, null
        where nobody knows.
    """
    ids = pl.DataFrame(schema={"ids": pl.List(pl.Int64)})
    if "chosen_token_ids" in pairs.columns:
        sides = (pairs.select("prompt_id", ids=f"{side}_token_ids") for side in SIDES)
        ids = pl.concat(sides).unique().drop_nulls()
    longest, end = ids["ids"].list.len().max(), ids["ids"].list.last().mode().sort().first()
    finished = {}
    for side in SIDES:
        name = f"{side}_finished"
        told = [pl.col(name)] if name in pairs.columns else []
        if ids.height:
            own = pl.col(f"{side}_token_ids").list
            told.append((own.len() != longest) | (own.last() == end))
        finished[name] = pl.coalesce(*told, pl.lit(None, pl.Boolean))
    return pairs.with_columns(**finished)


def _many(responses: pl.DataFrame) -> Iterator[Finding]:
    cut, of = responses.filter(~pl.col("finished")), responses.height
    figure = share(~responses["finished"].to_numpy(), responses["prompt_id"].to_numpy())
    if figure.enough and figure.low > MANY:
        chosen = cut.filter(pl.col("side") == "chosen").height
        yield Finding(
            f"{cut.height} of {of} responses are cut off, {chosen} of them chosen",
            "Raise `generation.params.max_new_tokens`.",
            cut.height,
            of,
            tuple(cut["row"].unique().sort().to_list()),
        )


def _amid(responses: pl.DataFrame) -> Iterator[Finding]:
    """Of texts: a fence that is not closed, a comma or a word that ends no sentence, one length."""
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
