"""How far annotators agree, beyond what chance would give.

Notation: N items, R raters, C categories; ratings (N, R), NaN where a rater says nothing of an
item; m_i ratings of item i. All figures are functions of sums over items, so that their intervals
come from drawing prompts anew (see `estimates`). 1 is perfect; 0 is chance; below 0 is worse.

Sources: Cohen 1960, "A Coefficient of Agreement for Nominal Scales"; Fleiss 1971, "Measuring
Nominal Scale Agreement Among Many Raters"; Krippendorff 2011, "Computing Krippendorff's
Alpha-Reliability".
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.labels.comparisons import SAID
from prefopt_core.labels.estimates import Estimate, over_prompts

Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True)
class Rated:
    """Who says what of which item.

    Attributes:
        ratings: (N, R) a code of `SAID` of pairs, or a score of responses; NaN where none.
        prompts: (N,) the prompt of each item.
        raters: R names.
    """

    ratings: FloatArray
    prompts: npt.NDArray[np.generic]
    raters: tuple[str, ...]

    def of(self, *raters: str) -> "Rated":
        """The ratings of some raters, of the items that each of them rated."""
        own = self.ratings[:, [self.raters.index(name) for name in raters]]
        known = np.isfinite(own).all(axis=1)
        return Rated(own[known], self.prompts[known], raters)

    def shared(self) -> "Rated":
        """The items that two or more raters rated."""
        several = np.isfinite(self.ratings).sum(axis=1) > 1
        return Rated(self.ratings[several], self.prompts[several], self.raters)


def pairs_rated(comparisons: pl.DataFrame) -> Rated:
    """The codes in `SAID` that raters gave to pairs; items are pairs, sorted by their ids.

    Args:
        comparisons: What `comparisons.comparisons` returns.
    """
    codes = {name: float(code) for code, name in enumerate(SAID)}
    coded = comparisons.with_columns(
        rating=pl.col("said").replace_strict(codes, return_dtype=pl.Float64)
    )
    return _rated(coded, ["prompt_id", "first", "second"])


def responses_rated(scored: pl.DataFrame) -> Rated:
    """The scores that raters gave to responses; an item is a response.

    Args:
        scored: What `evidence.scored` returns.
    """
    return _rated(scored.rename({"score": "rating"}), ["prompt_id", "candidate_id"])


def _rated(rows: pl.DataFrame, item: list[str]) -> Rated:
    items, raters = rows.select(item).unique().sort(item), sorted(set(rows["rater"]))
    ratings = np.full((items.height, len(raters)), np.nan)
    columns = {name: at for at, name in enumerate(raters)}
    at = rows.select(item).join(items.with_row_index("row"), item, maintain_order="left")["row"]
    ratings[at.to_numpy(), [columns[name] for name in rows["rater"]]] = rows["rating"].to_numpy()
    return Rated(ratings, items["prompt_id"].to_numpy(), tuple(raters))


def observed(rated: Rated) -> Estimate:
    """The share of equal ratings among all two of an item; an item counts as its m_i ratings."""
    parts, counts = _within(rated.shared().ratings, np.not_equal)
    figures = np.column_stack([counts - parts, counts])
    return over_prompts(figures, lambda s: s[..., 0] / s[..., 1], rated.shared().prompts)


def cohens_kappa(rated: Rated) -> Estimate:
    """κ = (p_o - p_e) / (1 - p_e) of two raters, p_e from the shares of each.

    Args:
        rated: Of two raters, as `Rated.of` gives it; NaN if both always say the same one thing.
    """
    codes = _codes(rated.ratings)
    size = int(codes.max(initial=0)) + 1
    cells = np.eye(size**2)[codes[:, 0] * size + codes[:, 1]]

    def kappa(sums: FloatArray) -> FloatArray:
        table = sums.reshape(*sums.shape[:-1], size, size)
        total = table.sum(axis=(-2, -1))
        equal = np.trace(table, axis1=-2, axis2=-1) / total
        chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / total**2
        return (equal - chance) / (1 - chance)

    return over_prompts(cells, kappa, rated.prompts)


def fleiss_kappa(rated: Rated) -> Estimate:
    """κ = (P̄ - P̄_e) / (1 - P̄_e), P̄_e from the shares of categories over all raters.

    Fleiss has as many ratings of every item. Where m_i differs, P̄ is the mean of the P_i over
    items that have two or more, and a category's share is that of their ratings.
    """
    rated = rated.shared()
    counts = _counts(rated.ratings)
    m = counts.sum(axis=1)
    equal = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))

    def kappa(sums: FloatArray) -> FloatArray:
        categories = sums[..., 2:]
        shares = categories / categories.sum(axis=-1, keepdims=True)
        chance = (shares**2).sum(axis=-1)
        return (sums[..., 0] / sums[..., 1] - chance) / (1 - chance)

    parts = np.column_stack([equal, np.ones_like(equal), counts])
    return over_prompts(parts, kappa, rated.prompts)


def krippendorffs_alpha(rated: Rated, level: Level = "nominal") -> Estimate:
    """α = 1 - D_o / D_e: disagreement within items over that of ratings drawn from all items.

    Args:
        rated: Items with one rating are left out.
        level: What counts as disagreement of two ratings. nominal: 1 if they differ; interval:
            (a - b)²; ordinal: the same of their mid-ranks among all ratings, which is
            Krippendorff's ordinal metric. Draws of the bootstrap keep the ranks of all ratings.
    """
    rated = rated.shared()
    if level == "nominal":
        parts, m = _within(rated.ratings, np.not_equal)
        sums = np.column_stack([parts, m, _counts(rated.ratings)])
        return over_prompts(sums, _nominal_alpha, rated.prompts)
    known = np.isfinite(rated.ratings)
    x = np.where(known, rated.ratings, 0.0)
    if level == "ordinal":
        x[known] = pl.Series(rated.ratings[known]).rank().to_numpy()
    if known.any():
        x[known] -= x[known].mean()  # α does not change, and squares lose no digits
    parts, m = _within(np.where(known, x, np.nan), lambda a, b: (a - b) ** 2)
    sums = np.column_stack([parts, m, x.sum(axis=1), (x**2).sum(axis=1)])
    return over_prompts(sums, _squared_alpha, rated.prompts)


def _nominal_alpha(sums: FloatArray) -> FloatArray:
    n, categories = sums[..., 1], sums[..., 2:]
    expected = (n**2 - (categories**2).sum(axis=-1)) / (n * (n - 1))
    return 1 - sums[..., 0] / n / expected


def _squared_alpha(sums: FloatArray) -> FloatArray:
    within, n, total, squares = (sums[..., at] for at in range(4))
    expected = 2 * (n * squares - total**2) / (n * (n - 1))
    return 1 - within / n / expected


def _within(
    ratings: FloatArray, distance: Callable[[FloatArray, FloatArray], npt.NDArray[Any]]
) -> tuple[FloatArray, FloatArray]:
    """Disagreement within items.

    Returns:
        (N,) the sum of distances of an item's ratings, each two in both orders, over m_i - 1;
        (N,) m_i.
    """
    total = np.zeros(len(ratings))
    for i, j in combinations(range(ratings.shape[1]), 2):
        a, b = ratings[:, i], ratings[:, j]
        total += np.where(np.isfinite(a) & np.isfinite(b), 2.0 * distance(a, b), 0.0)
    m = np.isfinite(ratings).sum(axis=1).astype(np.float64)
    return total / np.maximum(m - 1, 1), m


def _codes(ratings: FloatArray) -> npt.NDArray[np.intp]:
    """The ratings as numbers from 0, in the order of their values; all are there."""
    return np.unique(ratings, return_inverse=True)[1].reshape(ratings.shape)


def _counts(ratings: FloatArray) -> FloatArray:
    """(N, C) how often each category is said of each item."""
    values = np.unique(ratings[np.isfinite(ratings)])
    return (ratings[:, :, None] == values).sum(axis=1).astype(np.float64)


@dataclass(frozen=True)
class Between:
    """How far two raters agree, on the items that both rated.

    Attributes:
        one: A rater.
        other: Another.
        observed: Share of items of which they say the same.
        kappa: Cohen's κ.
    """

    one: str
    other: str
    observed: Estimate
    kappa: Estimate


def between(rated: Rated) -> list[Between]:
    """Every two raters who share an item, in the order of their names."""
    found = []
    for one, other in combinations(rated.raters, 2):
        both = rated.of(one, other)
        if len(both.ratings):
            found.append(Between(one, other, observed(both), cohens_kappa(both)))
    return found
