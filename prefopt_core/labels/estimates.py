"""Shares, means and agreement with their intervals, over pairs of which a prompt has several.

Notation: N items, each of one of P prompts. What is said of items of one prompt is alike, so that
they tell less than as many of different prompts: intervals are over prompts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.randomness import rng_for

ENOUGH = 20
"""The fewest prompts behind a figure that is shown: with fewer, an interval promises too much."""
_Z = 1.959964
"""97.5 % point of the normal distribution."""
_RESAMPLES = 2000
_DRAWN_AT_ONCE = 2**20
"""Counts held in memory while resampling."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    Attributes:
        value: NaN where it is undefined.
        low: Lower end of the interval.
        high: Upper end.
        n: Items behind it.
        prompts: Prompts these are of.
    """

    value: float
    low: float
    high: float
    n: int
    prompts: int

    @property
    def enough(self) -> bool:
        """Whether there is so much behind it that it may be shown."""
        return self.prompts >= ENOUGH

    @property
    def turned(self) -> "Estimate":
        """Of a share, that of all other items."""
        return Estimate(1 - self.value, 1 - self.high, 1 - self.low, self.n, self.prompts)

    @property
    def percent(self) -> str:
        """A share with its interval.

        >>> Estimate(0.5, 0.4, 0.6, 100, 100).percent
        '50 % [40, 60]'
        """
        return percent(self.value, self.low, self.high)


def percent(
    value: float, low: float | None = None, high: float | None = None, *, digits: int = 0
) -> str:
    """A share in words, with its interval if it has one.

    >>> percent(0.123), percent(0.123, digits=1), percent(0.5, 0.4, 0.6)
    ('12 %', '12.3 %', '50 % [40, 60]')
    """
    said = f"{100 * value:.{digits}f} %"
    if low is None or high is None:
        return said
    return f"{said} [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"


NOTHING = Estimate(nan, nan, nan, 0, 0)
"""The figure of no item."""


def share(hits: npt.NDArray[np.bool_], prompts: npt.NDArray[np.generic]) -> Estimate:
    """The share of items that are hits, with Wilson's interval (1927).

    The interval is that of n / d items, d ≥ 1 the design effect (Kish 1965): how much more the
    share varies over prompts than over as many independent items. Where all are hits, or none is,
    d is not known, and a prompt counts as one item.

    Args:
        hits: (N,).
        prompts: (N,) what prompt each is of.

    >>> share(np.arange(10) < 8, np.arange(10))
    Estimate(value=0.8, low=0.490162..., high=0.943317..., n=10, prompts=10)
    """
    n, (_, group) = len(hits), np.unique(prompts, return_inverse=True)
    if not n:
        return NOTHING
    count, p = int(group.max()) + 1, float(hits.mean())
    if 0 < p < 1 and count > 1:
        off = np.bincount(group, hits - p)
        design = float((off**2).sum()) / (n * p * (1 - p)) * count / (count - 1) * (n - 1) / n
        m = n / max(1.0, design)
    else:
        m = float(count)
    middle, half = p + _Z**2 / (2 * m), _Z * sqrt(p * (1 - p) / m + _Z**2 / (4 * m**2))
    low, high = ((middle + side * half) / (1 + _Z**2 / m) for side in (-1, 1))
    return Estimate(p, max(0.0, low), min(1.0, high), n, count)


def over_prompts(
    parts: FloatArray,
    of: Callable[[FloatArray], FloatArray],
    prompts: npt.NDArray[np.generic],
    seed: int = 0,
) -> Estimate:
    """A figure that is made of sums over items, with its percentile bootstrap over prompts.

    Args:
        parts: (N, D) what each item adds to the D sums.
        of: (…, D) sums to (…,) figures; NaN where one is undefined.
        prompts: (N,) what prompt each item is of. A draw takes P prompts with all their items.
        seed: The same seed and items give the same interval.

    Returns:
        The figure; its interval leaves out draws in which it is undefined.
    """
    if not len(parts):
        return NOTHING
    _, group = np.unique(prompts, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, parts.shape[1]))
    np.add.at(sums, group, parts)
    count = len(sums)
    kinds, often = np.unique(sums, axis=0, return_counts=True)  # few where prompts have few items
    rng, figures = rng_for(seed, "agreement"), []
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(of(sums.sum(axis=0)))
        step = max(1, _DRAWN_AT_ONCE // len(kinds))
        for start in range(0, _RESAMPLES, step):
            size = min(step, _RESAMPLES - start)
            figures.append(of(rng.multinomial(count, often / count, size) @ kinds))
    drawn = np.concatenate(figures)
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (nan, nan)
    return Estimate(value, float(low), float(high), len(parts), count)


def median(values: FloatArray, prompts: npt.NDArray[np.generic]) -> Estimate:
    """The median, with the exact interval from order statistics, which asks for no distribution.

    Args:
        values: (N,).
        prompts: (N,) what prompt each is of; here only counted.
    """
    if not len(values):
        return NOTHING
    from scipy.stats import quantile_test  # type: ignore[import-untyped]

    middle = float(np.median(values))
    interval = quantile_test(values, q=middle, p=0.5).confidence_interval(0.95)
    return Estimate(
        middle, float(interval.low), float(interval.high), len(values), len(np.unique(prompts))
    )
