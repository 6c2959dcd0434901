"""What an annotator chooses whatever the responses say: the first shown, or a refusal."""

from collections.abc import Iterator

import polars as pl

from prefopt_core.labels.estimates import share
from prefopt_core.labels.honesty import first_shown
from prefopt_core.lint.findings import BIASED, Finding, Known

_REFUSAL = (
    r"\bas an ai\b|\bas an? (?:large |artificial )?(?:language|intelligence) model\b"
    r"|^(?:i m|i am) (?:very |so )?sorry (?:but )?(?:i |as )"
    r"|\bi (?:cannot|can t|am unable to|m unable to|won t) "
    r"(?:assist|help|fulfil|comply|provide (?:that|this))"
)
"""In texts without case and punctuation."""


def always_first(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """One annotator nearly always finds the response better that is shown first, or second."""
    for who, first in () if known.verdicts is None else first_shown(known.verdicts):
        for word, side in (("first", first), ("second", first.turned)):
            if side.enough and side.low > BIASED:
                yield Finding(
                    f"{who} finds the response better that is shown {word} in {side.percent} of "
                    f"{side.n} comparisons",
                    "Show both orders (`orders: both`) if it is a model; if it is a person, look "
                    "at these answers and the guidelines.",
                    round(side.value * side.n),
                    side.n,
                )


def refusal_chosen(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """Where one of two responses refuses or says that it is an AI, that one is mostly chosen."""
    refuses = {
        side: pl.col(f"{side}_bare").str.contains(_REFUSAL) for side in ("chosen", "rejected")
    }
    one = pairs.filter(refuses["chosen"] != refuses["rejected"])
    chosen = one.select(refuses["chosen"]).to_series().to_numpy()
    figure = share(chosen, one["prompt_id"].to_numpy())
    if figure.enough and figure.low > 0.5:
        rows = one.filter(chosen)["row"].to_list()
        yield Finding(
            f"the response that refuses or says it is an AI is chosen in {figure.percent} of the "
            f"{figure.n} pairs that have one",
            "The policy will learn to refuse. Remove these pairs, unless that is what you want.",
            len(rows),
            figure.n,
            tuple(rows),
        )
