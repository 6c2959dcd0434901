"""Length as what tells chosen from rejected, and responses of a length of their own."""

from collections.abc import Iterator

import polars as pl

from prefopt_core.labels.estimates import share
from prefopt_core.lint.findings import BIASED, Finding, Known, of_rows

_SIDES = ("chosen", "rejected")
_ADVICE = (
    "A policy learns length from them. If that is not meant, leave some of them out, so that "
    "chosen and rejected are of about one length"
)
_SHORTER = f"{_ADVICE}."
_LONGER = f"{_ADVICE}; or train with `training.loss: simpo`, which divides by length."
_OWN = (
    "The policy will become longer by what it says of itself. If that is not meant: "
    "`pairing.length_penalty: auto`, or `training.loss: simpo`."
)
_TIMES = 10
_CHARACTERS = 4000
"""A response is extreme that is longer than this, and than `_TIMES` the median."""


def length_bias(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """An annotator chooses the longer response, or the shorter one, nearly whatever it says."""
    chosen, rejected = (pl.col(side).str.len_chars().cast(pl.Int64) for side in _SIDES)
    differ = pairs.filter(chosen != rejected)
    for (annotator, source), own in differ.group_by("annotator", "source", maintain_order=True):
        if known.reported and source != "self":
            continue
        hits = own.select(chosen > rejected).to_series().to_numpy()
        longer = share(hits, own["prompt_id"].to_numpy())
        more = _OWN if source == "self" else _LONGER
        for word, side, advice in (("longer", longer, more), ("shorter", longer.turned, _SHORTER)):
            if side.enough and side.low > BIASED:
                yield Finding(
                    f"{annotator} chooses the {word} response in {side.percent} of {side.n} pairs",
                    advice,
                    round(side.value * side.n),
                    side.n,
                )


def extreme_length(pairs: pl.DataFrame, known: Known) -> Iterator[Finding]:
    """A response many times as long as the others."""
    lengths = pl.concat(pairs[side].str.len_chars() for side in _SIDES)
    usual = int(lengths.sort()[lengths.len() // 2]) if lengths.len() else 0
    limit = max(_CHARACTERS, _TIMES * usual)
    yield from of_rows(
        pairs,
        pl.max_horizontal(pl.col(_SIDES).str.len_chars()) > limit,
        f"have a response of more than {limit:,} characters; half of all have at most {usual:,}",
        "Read them: often several answers, or a loop, are in one cell.",
    )
