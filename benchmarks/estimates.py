"""A mean over prompts and how sure it is; how often two judges agree."""

import numpy as np
import numpy.typing as npt

from prefopt_core.evaluation.statistics import bootstrap_interval

SEED = 0

Estimate = tuple[float, float, float]
"""A mean and both ends of its 95 % percentile bootstrap interval; NaN if there are no values."""


def estimate(values: npt.NDArray[np.float64]) -> Estimate:
    """Over the prompts that have a value: (P,), NaN where there is none."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.nan, np.nan, np.nan
    return float(known.mean()), *bootstrap_interval(known, seed=SEED)


def agreement(margins: npt.NDArray[np.float64], other_margins: npt.NDArray[np.float64]) -> float:
    """The share of pairs on which two judges prefer the same response.

    Args:
        margins: (n,) score of the first response minus that of the second, by one judge.
        other_margins: (n,) by the other, in any units. A judge who sees no difference is right
            half of the time.

    >>> agreement(np.array([1.0, -2.0, 0.0, 3.0]), np.array([0.1, 0.1, 0.1, 0.1]))
    0.625
    """
    return float(np.mean(np.sign(margins) * np.sign(other_margins) / 2 + 0.5))
