"""What an annotator chooses whatever the responses say: the first shown, or a refusal."""

from collections.abc import Iterator

import polars as pl

from prefopt_core.lint.findings import ENOUGH, Finding, Known, percent, share

BIASED = 0.65
"""Share of comparisons in which the first (or the second) shown is better, above which to warn."""
_REFUSAL = (
    r"\bas an ai\b|\bas an? (?:large |artificial )?(?:language|intelligence) model\b"
    r"|^(?:i m|i am) (?:very |so )?sorry (?:but )?(?:i |as )"
    r"|\bi (?:cannot|can t|am unable to|m unable to|won t) "
    r"(?:assist|help|fulfil|comply|provide (?:that|this))"
)
"""In texts without case and punctuation."""


def always_first(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """One annotator nearly always finds the response better that is shown first, or second."""
    if known.verdicts is None:
        return
    for annotator, by, of, first in _choices(known.verdicts).iter_rows():
        words = (("first", first), ("second", of - first)) if of >= ENOUGH else ()
        for word, count in words:
            if share(count, of)[0] > BIASED:
                yield Finding(
                    f"{by or annotator} finds the response better that is shown {word} in "
                    f"{percent(count, of)} of {of} comparisons",
                    "Show both orders (`orders: both`) if it is a model; if it is a person, look "
                    "at these answers and the guidelines.",
                    count,
                    of,
                )


def _choices(verdicts: pl.DataFrame) -> pl.DataFrame:
    """annotator, by, comparisons that were decided, and how often for the first response."""
    given = verdicts.filter((pl.col("state") == "given") & (pl.col("responses").list.len() == 2))
    scores = [pl.col("scores").list.get(place, null_on_oob=True) for place in (0, 1)]
    lead = pl.coalesce(pl.col("preference") - 0.5, scores[0] - scores[1])
    return (
        given.with_columns(lead.alias("lead"))
        .filter(pl.col("lead") != 0)
        .group_by("annotator", "by", maintain_order=True)
        .agg(pl.len().alias("of"), (pl.col("lead") > 0).sum().alias("first"))
    )


def refusal_chosen(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Where one of two responses refuses or says that it is an AI, that one is mostly chosen."""
    refuses = {
        side: pl.col(f"{side}_bare").str.contains(_REFUSAL) for side in ("chosen", "rejected")
    }
    one = pairs.filter(refuses["chosen"] != refuses["rejected"])
    rows = one.filter(refuses["chosen"])["row"].to_list()
    if one.height >= ENOUGH and share(len(rows), one.height)[0] > 0.5:
        yield Finding(
            f"the response that refuses or says it is an AI is chosen in "
            f"{percent(len(rows), one.height)} of the {one.height} pairs that have one",
            "The policy will learn to refuse. Remove these pairs, unless that is what you want.",
            len(rows),
            one.height,
            tuple(rows),
        )
