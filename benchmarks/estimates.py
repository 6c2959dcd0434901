"""A mean over prompts and how sure it is."""

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
