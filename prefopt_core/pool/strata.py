"""Strata: how many of the chosen rows each topic, source or language gets."""

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.pool.points import PositionArray, require_count

Rule = Literal["proportional", "equal", "square_root"]
"""What a stratum's share is proportional to: its size, nothing, or the square root of its size."""

_POWER = {"proportional": 1.0, "equal": 0.0, "square_root": 0.5}


def split_count(sizes: npt.NDArray[np.integer], count: int, rule: Rule) -> PositionArray:
    """Split a count over strata by largest remainder, never more than a stratum holds.

    What a full stratum cannot take goes to the others, in the same shares.

    Args:
        sizes: (s,) rows in each stratum, >= 0.
        count: How many to give out, 1 <= count <= Σ sizes.
        rule: See `Rule`.

    Returns:
        (s,) how many each gets; they sum to `count`. Equal remainders: the first stratum first.

    Raises:
        ConfigError: The rule is unknown, or `count` is not within 1..Σ sizes.

    >>> split_count(np.array([90, 9, 1]), 10, "proportional").tolist()
    [9, 1, 0]
    >>> split_count(np.array([90, 9, 1]), 10, "equal").tolist()
    [5, 4, 1]
    """
    if rule not in _POWER:
        known = did_you_mean(rule, get_args(Rule))
        raise ConfigError(f"Unknown rule {rule!r}.{known} Set `pool.rule`.")
    require_count(count, int(sizes.sum()))
    shares = np.where(sizes > 0, sizes.astype(np.float64) ** _POWER[rule], 0.0)
    full = np.zeros(len(sizes), dtype=bool)
    while True:
        wanted = _split(shares, full, sizes, count)
        overfull = ~full & (wanted > sizes)
        if not overfull.any():
            break
        full |= overfull
    whole = np.floor(wanted).astype(np.int64)
    remainders = np.where(
        whole < sizes, whole - wanted, np.inf
    )  # negative: the largest sorts first
    whole[np.argsort(remainders, kind="stable")[: count - whole.sum()]] += 1
    return whole


def _split(
    shares: FloatArray, full: npt.NDArray[np.bool_], sizes: npt.NDArray[np.integer], count: int
) -> FloatArray:
    """Full strata get what they hold, the others their share of the rest."""
    open_ = np.where(full, 0.0, shares)
    rest = count - sizes[full].sum()
    return np.where(full, sizes, open_ * (rest / max(open_.sum(), 1.0)))
