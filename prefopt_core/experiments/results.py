"""Means over seeds of each arm of a comparison, and differences between arms, seed by seed.

Frames called `table` are `comparison` tables: a row per arm, seed, round and metric, with its value
and the labels used up to that round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.experiments.paired import Interval, holm, interval_over_seeds, sign_flip_test
from prefopt_core.ground.tables import TABLES

METRICS = ("win_rate", "gold_score")
"""The metrics by which arms are compared; an annotator that compares gives no gold scores."""

ARM_METRICS = ("length_controlled_win_rate", "response_words", "self_label_agreement")
"""Metrics shown of every arm beside `METRICS`, those that were measured."""

SELF_LABEL_METRICS = (
    "self_label_agreement",
    "self_label_confidence",
    "flagged",
    "flagged_wrong",
    "self_pair_words",
    "response_words",
    "kl_from_start",
    "chosen_shift",
    "distinct_2",
)
"""Metrics shown of every round in which an arm's policy labelled pairs itself."""

SHARES = {
    *("win_rate", "length_controlled_win_rate", "self_label_agreement", "self_label_confidence"),
    *("flagged", "flagged_wrong", "distinct_2"),
}
"""Metrics that lie between 0 and 1."""

LEVEL = 0.05
"""The largest corrected p value of a settled difference."""


Match = tuple[str, str]
"""(arm, the arm that it is compared with)."""


@dataclass(frozen=True)
class Point:
    """A metric of one arm after one round, over seeds.

    Attributes:
        at: Its place in a plot: mean labels used up to then, or the value of a setting.
        value: Mean over seeds.
        interval: 95 % t interval over seeds; None of one seed.
        n: Seeds.
    """

    at: float
    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class Difference:
    """A metric of what one arm returned minus that of another.

    Attributes:
        arm: The arm.
        other: The arm that it is compared with.
        metric: One of `METRICS`.
        by_seed: (n,) differences, over the seeds that both arms have.
        interval: 95 % t interval of their mean; None of one seed.
        p: Of the sign-flip test.
        p_corrected: The same, corrected by Holm for the other comparisons by this metric.
    """

    arm: str
    other: str
    metric: str
    by_seed: FloatArray
    interval: Interval | None
    p: float
    p_corrected: float

    @property
    def mean(self) -> float:
        """Mean difference over seeds."""
        return float(self.by_seed.mean())

    @property
    def settled(self) -> bool:
        """Whether the interval leaves out 0 and the corrected p is at most `LEVEL`."""
        if self.interval is None:
            return False
        low, high = self.interval
        return not low <= 0 <= high and self.p_corrected <= LEVEL

    @property
    def verdict(self) -> str:
        """The difference in words: `higher`, `lower`, or why neither can be said."""
        if self.interval is None:
            return "one seed says nothing"
        low, high = self.interval
        if low <= 0 <= high and self.p > LEVEL:
            return "no difference seen"
        if not self.settled:
            return "not settled"
        return "higher" if low > 0 else "lower"


def collect_runs(
    metrics: Sequence[pl.DataFrame],
    arms: Sequence[str],
    seeds: Sequence[int],
    kept: Sequence[int],
) -> pl.DataFrame:
    """Put the metrics of many runs into one table.

    Args:
        metrics: One `metrics` table per run, with all its rounds.
        arms: The arm of each run.
        seeds: The seed of each run.
        kept: The round of each run whose policy it returned (`evaluation.keep`). Later rounds are
            left out, but the labels that they used count.

    Returns:
        The `comparison` table.
    """
    runs = [
        _figures(run, last)
        .join(_labels(run, last), "round", maintain_order="left")
        .select(
            pl.lit(arm).alias("arm"), pl.lit(seed, pl.Int64).alias("seed"),
            "round", "metric", "value", "labels",
        )
        for run, arm, seed, last in zip(metrics, arms, seeds, kept, strict=True)
    ]  # fmt: skip
    return pl.concat([pl.DataFrame(schema=TABLES["comparison"].columns), *runs])


def _figures(run: pl.DataFrame, kept: int) -> pl.DataFrame:
    """(round, metric, value) of a `metrics` table up to the round that was kept."""
    figures = run.filter(pl.col("round") <= kept).select("round", "metric", "value")
    if kept:
        return figures
    # A run that returned its start policy has no win rate; against itself it wins half.
    own = pl.DataFrame({"round": [0], "metric": ["win_rate"], "value": [0.5]}, figures.schema)
    return pl.concat([figures, own])


def _labels(run: pl.DataFrame, kept: int) -> pl.DataFrame:
    """(round, labels) of a `metrics` table: used up to each round; from `kept` on, by all rounds.

    Where no labels were bought, a pair that was given counts two.
    """
    counts = run.pivot("metric", index="round", values="value").sort("round").fill_null(0)
    bought, given = pl.col("labels"), 2 * pl.col("gold_pairs")
    used = pl.when(bought > 0).then(bought).otherwise(given)
    so_far = pl.when(pl.col("round") < kept).then(used.cum_sum()).otherwise(used.sum())
    return counts.select("round", labels=so_far.cast(pl.Int64))


def measured(table: pl.DataFrame) -> list[str]:
    """Those of `METRICS` that a `comparison` table has."""
    return [metric for metric in METRICS if metric in table["metric"]]


def by_seed(table: pl.DataFrame, arm: str, metric: str) -> pl.DataFrame:
    """(seed, value, labels) of a metric of what an arm returned, sorted by seed."""
    return _last(table.filter(pl.col("arm") == arm, pl.col("metric") == metric))


def _last(rows: pl.DataFrame) -> pl.DataFrame:
    """(seed, value, labels) of each seed's last round in rows of `table`, sorted by seed."""
    last = rows.filter(pl.col("round") == pl.col("round").max().over("seed"))
    return last.select("seed", "value", "labels").sort("seed")


def final(table: pl.DataFrame, arm: str, metric: str) -> Point | None:
    """A metric of what an arm returned; None if it was not measured."""
    rows = by_seed(table, arm, metric)
    return None if rows.is_empty() else _point(rows, arm, metric)


def after(table: pl.DataFrame, arm: str, metric: str, round_number: int) -> Point | None:
    """A metric of an arm after one of its rounds; None if it was not measured."""
    rows = table.filter(
        pl.col("arm") == arm, pl.col("metric") == metric, pl.col("round") == round_number
    )
    return None if rows.is_empty() else _point(rows.sort("seed"), arm, metric)


def curve(table: pl.DataFrame, arm: str, metric: str) -> list[Point]:
    """A metric of an arm after each round; the start policy has win rate 0.5 against itself.

    A run that returned an earlier round than others counts with that round's value in all later
    points. Leaving it out would average over the runs that did well enough to go on.
    """
    rows = table.filter(pl.col("arm") == arm, pl.col("metric") == metric)
    start = [Point(0, 0.5, None, rows["seed"].n_unique())] if metric == "win_rate" else []
    points = [
        _point(_last(rows.filter(pl.col("round") <= number)), arm, metric)
        for number in rows["round"].unique().sort()
        if number > 0 or not start
    ]
    return [*start, *points]


def line(
    table: pl.DataFrame, arms: Sequence[str], metric: str, places: Mapping[str, float]
) -> list[Point]:
    """A metric of what several arms returned that are one method at several budgets.

    Args:
        table: A `comparison` table; arms that it does not hold yet are left out.
        arms: The arms of the line.
        metric: What is measured.
        places: Arm → its value of the setting that the plot runs over; labels where it has none.

    Returns:
        A point per arm, sorted by place.
    """
    there = set(arms_of(table))
    ends = {arm: final(table, arm, metric) for arm in arms if arm in there}
    points = [replace(p, at=places.get(arm, p.at)) for arm, p in ends.items() if p]
    return sorted(points, key=lambda point: point.at)


def _point(rows: pl.DataFrame, arm: str, metric: str) -> Point:
    values, labels = rows["value"].to_numpy(), rows["labels"].to_numpy()
    interval = interval_over_seeds(values)
    if interval and metric in SHARES:
        interval = max(interval[0], 0.0), min(interval[1], 1.0)
    return Point(float(labels.mean()), float(values.mean()), interval, len(values))


def differences(table: pl.DataFrame, matches: Sequence[Match], metric: str) -> list[Difference]:
    """Every arm minus those it is compared with, over the seeds that both have.

    Args:
        table: A `comparison` table.
        matches: Pairs of arms.
        metric: One of `METRICS`.

    Returns:
        One per match, in their order; p values are corrected for the number of matches.
    """
    paired = [_paired(table, arm, other, metric) for arm, other in matches]
    p_values = np.array([sign_flip_test(values) for values in paired])
    return [
        Difference(
            arm, other, metric, values,
            interval_over_seeds(values),
            float(p), float(corrected),
        )
        for (arm, other), values, p, corrected in zip(
            matches, paired, p_values, holm(p_values), strict=True
        )
    ]  # fmt: skip


def _paired(table: pl.DataFrame, arm: str, other: str, metric: str) -> FloatArray:
    both = by_seed(table, arm, metric).join(
        by_seed(table, other, metric), "seed", suffix="_of_other", maintain_order="left"
    )
    return (both["value"] - both["value_of_other"]).to_numpy()


def arms_of(table: pl.DataFrame) -> list[str]:
    """The arms of a `comparison` table, in the order of the preset."""
    return table["arm"].unique(maintain_order=True).to_list()


def unequal(table: pl.DataFrame, matches: Sequence[Match]) -> list[Match]:
    """The matches whose two arms in some seed used different numbers of labels."""
    used = {arm: by_seed(table, arm, METRICS[0])["labels"].to_list() for arm in arms_of(table)}
    return [(arm, other) for arm, other in matches if used[arm] != used[other]]
