"""How sure a mean over prompts is."""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.evaluation.games import Figure
from prefopt_core.ground.randomness import rng_for

_DRAWN_AT_ONCE = 2**16
"""Values held in memory while resampling: a matrix of all draws would not fit for large n."""


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
    from scipy.stats import bootstrap  # type: ignore[import-untyped]

    values = np.asarray(values, dtype=np.float64)
    if values.min() == values.max():  # scipy wants two values, and warns if they are equal
        return float(values.mean()), float(values.mean())
    means = bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, _DRAWN_AT_ONCE // len(values)),
        vectorized=True,
        method="percentile",
        rng=rng_for(seed, "bootstrap"),
    ).bootstrap_distribution
    # scipy's own interval rounds its last digit otherwise than results that stores hold.
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def mean_figure(policy: str, values: FloatArray, *, seed: int) -> Figure:
    """The mean of (n,) values, one per prompt, with its standard error s/√n and its interval.

    s has n - 1 degrees of freedom; of one value alone there is no error.
    """
    low, high = bootstrap_interval(values, seed=seed)
    n = len(values)
    error = float(values.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    return Figure(policy, float(values.mean()), error, low, high, n)


def resampled(n: int, *, seed: int, resamples: int) -> FloatArray:
    """How often each of n prompts is drawn, in draws of n with replacement: (resamples, n)."""
    return rng_for(seed, "bootstrap").multinomial(n, np.full(n, 1 / n), resamples).astype(float)


def spread_figure(policy: str, value: float, again: FloatArray, n: int) -> Figure:
    """A figure with error and interval of what it is when prompts are drawn again, (resamples,)."""
    low, high = np.quantile(again, [0.025, 0.975])
    return Figure(policy, value, float(again.std(ddof=1)), float(low), float(high), n)
