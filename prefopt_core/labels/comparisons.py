"""What is said of two responses of a prompt, whatever was asked and in which order it was shown."""

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import polars as pl

from prefopt_core.labels.evidence import probability_in, rater, scored

SAID = ("first", "second", "tie", "both_bad")
"""What an annotator says of a pair; a skipped or invalid verdict says nothing."""
_SPEAKING = ("given", "tie", "both_bad")
SAME = 1e-9
"""A probability as near to ½ as this is a tie: two orders that contradict each other cancel."""

_Pair = tuple[str, str, float | None]


def comparisons(verdicts: pl.DataFrame) -> pl.DataFrame:
    """What each rater says of each pair of responses.

    Rankings and scores, also of responses that were scored one by one, say something of every two.
    A rater's verdicts on the same pair are one: the mean of their probabilities, so that two orders
    which contradict each other are a tie.

    Args:
        verdicts: Table `verdicts`, of one annotator or of several.

    Returns:
        One row a rater and pair, sorted by prompt_id, first, second, rater. `first` and `second`
        are the pair's candidate ids, first < second; `said` is one of `SAID`, `probability`
        P(first better than second), null where both are bad.
    """
    named = verdicts.filter(pl.col("state").is_in(_SPEAKING)).with_columns(rater())
    rows = [
        (row["prompt_id"], *pair, row["rater"])
        for row in named.iter_rows(named=True)
        for pair in _pairs_of(row)
    ]
    names, key = ["prompt_id", "first", "second"], ["prompt_id", "first", "second", "rater"]
    schema = dict.fromkeys(names, pl.String) | {"probability": pl.Float64(), "rater": pl.String()}
    shown = pl.DataFrame(rows, schema=schema, orient="row")
    said = pl.concat([shown, _of_scores(scored(verdicts))]).group_by(key).mean().sort(key)
    side = pl.col("probability") - 0.5
    return said.with_columns(
        said=pl.when(side.is_null())
        .then(pl.lit("both_bad"))
        .when(side > SAME)
        .then(pl.lit("first"))
        .when(side < -SAME)
        .then(pl.lit("second"))
        .otherwise(pl.lit("tie"))
    )


def _of_scores(scores: pl.DataFrame) -> pl.DataFrame:
    """Every two responses to a prompt that one rater scored alone."""
    mine, other = pl.col("score"), pl.col("score_other")
    better, as_good = (sign.cast(pl.Float64) for sign in (mine > other, mine == other))
    return (
        scores.join(scores, ["prompt_id", "rater"], suffix="_other")
        .filter(pl.col("candidate_id") < pl.col("candidate_id_other"))
        .select(
            "prompt_id",
            first="candidate_id",
            second="candidate_id_other",
            probability=better + as_good / 2,
            rater="rater",
        )
    )


def _pairs_of(verdict: Mapping[str, Any]) -> Iterator[_Pair]:
    """Every two responses of a question, and P(first better than second)."""
    ids, bad = verdict["responses"], verdict["state"] == "both_bad"
    for i, j in combinations(range(len(ids)), 2):
        if ids[i] != ids[j]:
            yield _in_order(ids[i], ids[j], None if bad else probability_in(verdict, i, j))


def _in_order(one: str, other: str, probability: float | None) -> _Pair:
    """The pair with the smaller id first."""
    if one < other:
        return one, other, probability
    return other, one, None if probability is None else 1 - probability
