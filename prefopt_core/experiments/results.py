"""What a comparison came to: the figures of all its runs, and the differences between its arms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.experiments.paired import Interval, holm, interval_over_seeds, sign_flip_test
from prefopt_core.ground.randomness import seed_for
from prefopt_core.ground.tables import TABLES

METRICS = ("win_rate", "gold_score")
"""What arms are compared by."""

BESIDE = ("response_words", "self_label_agreement")
"""What is shown of every arm beside them, where it was measured."""

BEHIND = (
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
"""What is shown of every round of arms that label themselves."""

LEVEL = 0.05
"""P values above it, corrected, settle nothing."""


Match = tuple[str, str]
"""(arm, the arm that it is compared with)."""


@dataclass(frozen=True)
class Point:
    """A metric of one arm after one round: the mean over seeds.

    It stands at the labels used until then, or at the value of a setting.
    """

    at: float
    value: float
    interval: Interval | None
    n: int


@dataclass(frozen=True)
class Difference:
    """What an arm returned minus what another did, seed by seed."""

    arm: str
    other: str
    metric: str
    by_seed: FloatArray
    interval: Interval | None
    p: float
    p_corrected: float

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(self.by_seed.mean())

    @property
    def settled(self) -> bool:
        """Whether interval and corrected p agree that there is a difference."""
        if self.interval is None:
            return False
        low, high = self.interval
        return not low <= 0 <= high and self.p_corrected <= LEVEL

    @property
    def verdict(self) -> str:
        """What may be said of it."""
        if self.interval is None:
            return "one seed says nothing"
        low, high = self.interval
        if low <= 0 <= high:
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
    """Put the figures of many runs into one table.

    Args:
        metrics: One `metrics` table per run, with all its rounds.
        arms: The arm of each run.
        seeds: The seed of each run.
        kept: The round of each run whose policy it returned (`evaluation.keep`). Later ones are
            left out, but not what they cost.

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
    """(round, metric, value) up to the round that was kept."""
    figures = run.filter(pl.col("round") <= kept).select("round", "metric", "value")
    if kept:
        return figures
    # The start policy is not measured against itself; it wins half.
    own = pl.DataFrame({"round": [0], "metric": ["win_rate"], "value": [0.5]}, figures.schema)
    return pl.concat([figures, own])


def _labels(run: pl.DataFrame, kept: int) -> pl.DataFrame:
    """(round, labels used up to then, or at all). Pairs that were given took two each."""
    counts = run.pivot("metric", index="round", values="value").sort("round").fill_null(0)
    bought, given = pl.col("labels"), 2 * pl.col("gold_pairs")
    used = pl.when(bought > 0).then(bought).otherwise(given)
    so_far = pl.when(pl.col("round") < kept).then(used.cum_sum()).otherwise(used.sum())
    return counts.select("round", labels=so_far.cast(pl.Int64))


def by_seed(table: pl.DataFrame, arm: str, metric: str) -> pl.DataFrame:
    """(seed, value, labels) of what an arm returned, by seed."""
    return _last(table.filter(pl.col("arm") == arm, pl.col("metric") == metric))


def _last(rows: pl.DataFrame) -> pl.DataFrame:
    """(seed, value, labels) of each seed's last round among these, by seed."""
    last = rows.filter(pl.col("round") == pl.col("round").max().over("seed"))
    return last.select("seed", "value", "labels").sort("seed")


def final(table: pl.DataFrame, arm: str, metric: str) -> Point | None:
    """What an arm returned; None if that was not measured."""
    rows = by_seed(table, arm, metric)
    return None if rows.is_empty() else _point(rows, arm, metric)


def after(table: pl.DataFrame, arm: str, metric: str, round_number: int) -> Point | None:
    """An arm after one of its rounds; None if that was not measured."""
    rows = table.filter(
        pl.col("arm") == arm, pl.col("metric") == metric, pl.col("round") == round_number
    )
    return None if rows.is_empty() else _point(rows.sort("seed"), arm, metric)


def curve(table: pl.DataFrame, arm: str, metric: str) -> list[Point]:
    """A metric over the labels used; the start policy wins half against itself.

    A run that returned an earlier round than others keeps its figure to the end: a mean of those
    that went on would be one of those that did well.
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
    """Arms that are one method, by their places; by their labels if they have none."""
    there = set(arms_of(table))
    ends = {arm: final(table, arm, metric) for arm in arms if arm in there}
    points = [replace(p, at=places.get(arm, p.at)) for arm, p in ends.items() if p]
    return sorted(points, key=lambda point: point.at)


def _point(rows: pl.DataFrame, arm: str, metric: str) -> Point:
    values, labels = rows["value"].to_numpy(), rows["labels"].to_numpy()
    interval = interval_over_seeds(values, seed=seed_for(arm, metric))
    return Point(float(labels.mean()), float(values.mean()), interval, len(values))


def differences(table: pl.DataFrame, matches: Sequence[Match], metric: str) -> list[Difference]:
    """Every arm against those it is compared with, over the seeds that both have."""
    paired = [_paired(table, arm, other, metric) for arm, other in matches]
    p_values = np.array([sign_flip_test(values) for values in paired])
    return [
        Difference(
            arm, other, metric, values,
            interval_over_seeds(values, seed=seed_for(arm, metric, "-")),
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
    """The arms, in the order of the preset."""
    return table["arm"].unique(maintain_order=True).to_list()


def unequal(table: pl.DataFrame, matches: Sequence[Match]) -> list[Match]:
    """The matches whose two arms in some seed used different numbers of labels."""
    used = {arm: by_seed(table, arm, METRICS[0])["labels"].to_list() for arm in arms_of(table)}
    return [(arm, other) for arm, other in matches if used[arm] != used[other]]
