"""Figures that compare, and how sure they are."""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.randomness import rng_for


def win_rate(scores: FloatArray, baseline_scores: FloatArray) -> float:
    """The share of prompts on which a policy beats a baseline; a tie is half a win.

    Args:
        scores: (n,) one score per prompt, higher is better.
        baseline_scores: (n,) of the baseline on the same prompts in the same order.

    >>> win_rate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    0.5
    """
    return float(np.mean(np.sign(np.subtract(scores, baseline_scores)) / 2 + 0.5))


def agreement(margins: FloatArray, other_margins: FloatArray) -> float:
    """The share of pairs on which two judges prefer the same response.

    Args:
        margins: (n,) score of the first response minus that of the second, by one judge.
        other_margins: (n,) by the other, in any units. A judge who sees no difference is right
            half of the time.

    >>> agreement(np.array([1.0, -2.0, 0.0, 3.0]), np.array([0.1, 0.1, 0.1, 0.1]))
    0.625
    """
    return float(np.mean(np.sign(margins) * np.sign(other_margins) / 2 + 0.5))


def bootstrap_interval(
    values: FloatArray, *, seed: int, level: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean (Efron and Tibshirani 1993, ch. 13).

    Args:
        values: (n,) independent values, one per prompt, n >= 1.
        seed: The same seed and values give the same interval.
        level: Probability, before drawing the data, that the interval will hold the true mean;
            for n below about 20 it is somewhat less.
        resamples: Draws of n values with replacement.

    Returns:
        (low, high) in the units of `values`; equal if all values are.
    """
    values = np.asarray(values, dtype=np.float64)
    rng, n = rng_for(seed, "bootstrap"), len(values)
    means = [values[rng.integers(n, size=n)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
