"""What recorded verdicts say beyond a run's report: judges against what is right."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from benchmarks.agreement.recorded import GOLD
from prefopt_core.labels.aggregation import Method, aggregate
from prefopt_core.labels.agreement import cohens_kappa, pairs_rated
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.estimates import Estimate, over_prompts, share
from prefopt_core.labels.honesty import Honesty

_KEY = ["prompt_id", "first", "second"]
_RIGHT = pl.col("said") == pl.col("said_gold")


@dataclass(frozen=True)
class Judged:
    """A judge against what is right.

    Attributes:
        habits: What its verdicts say of it.
        right: Share right of its preferences in one order; both orders are counted.
        right_if_decided: Share right of its labels from both orders that are no ties.
        kappa: Cohen's κ with what is right, of labels from both orders.
    """

    habits: Honesty
    right: Estimate
    right_if_decided: Estimate
    kappa: Estimate


def against_gold(verdicts: pl.DataFrame, habits: Honesty) -> Judged:
    """One judge against annotator `GOLD`."""
    own, truth = _of(verdicts, habits.rater), _of(verdicts, GOLD)
    both = comparisons(own)
    decided = both.filter(pl.col("said") != "tie")
    pairs = pairs_rated(pl.concat([both, comparisons(truth)])).of(GOLD, habits.rater)
    return Judged(
        habits,
        right_in_one_order(verdicts, habits.rater),
        _share(_with_gold(decided, truth), _RIGHT),
        cohens_kappa(pairs),
    )


def right_in_one_order(verdicts: pl.DataFrame, judge: str) -> Estimate:
    """Share right of a judge's preferences, each order of a pair by itself."""
    return _share(_each_order(verdicts, judge), _RIGHT)


def difference_in_right(verdicts: pl.DataFrame, judge: str, other: str) -> Estimate:
    """`right_in_one_order` of one judge minus that of another, where both have a preference."""
    one, two = (_each_order(verdicts, name) for name in (judge, other))
    both = one.join(two, [*_KEY, "turned"], suffix="_other", maintain_order="left")
    gain = both.select(
        _RIGHT.cast(pl.Float64) - (pl.col("said_other") == pl.col("said_gold")).cast(pl.Float64)
    ).to_series()
    parts = np.column_stack([gain.to_numpy(), np.ones(gain.len())])
    return over_prompts(parts, lambda s: s[..., 0] / s[..., 1], both["prompt_id"].to_numpy())


def _each_order(verdicts: pl.DataFrame, judge: str) -> pl.DataFrame:
    """What a judge says of a pair in each order, a row an order, with what is right."""
    own = _of(verdicts, judge)
    turned = pl.col("responses").list.get(0) > pl.col("responses").list.get(1)
    each = [
        comparisons(own.filter(turned == order)).with_columns(turned=pl.lit(order))
        for order in (False, True)
    ]
    return _with_gold(pl.concat(each), _of(verdicts, GOLD))


@dataclass(frozen=True)
class Joined:
    """Labels that were made of several verdicts, against what is right.

    Attributes:
        right: Share of pairs whose label is right; a tie is not.
        sure: Mean confidence in the labels.
    """

    right: Estimate
    sure: float


def joined(verdicts: pl.DataFrame, judges: Collection[str], method: Method) -> Joined:
    """One label a pair of these judges' verdicts in both orders."""
    own = verdicts.filter(pl.col("annotator").is_in(list(judges)))
    labels = aggregate(comparisons(own), method)
    right = _share(_with_gold(labels, _of(verdicts, GOLD)), _RIGHT)
    return Joined(right, float(labels["confidence"].to_numpy().mean()))


def _of(verdicts: pl.DataFrame, annotator: str) -> pl.DataFrame:
    return verdicts.filter(pl.col("annotator") == annotator)


def _with_gold(labels: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    return labels.join(comparisons(truth), _KEY, suffix="_gold", maintain_order="left")


def _share(rows: pl.DataFrame, hit: pl.Expr) -> Estimate:
    return share(rows.select(hit).to_series().to_numpy(), rows["prompt_id"].to_numpy())
