"""Pairs by their estimated margin |r_i - r_j|: the largest, the smallest, or one between them.

The field disagrees about the end to take. Smallest: uncertainty sampling (Lewis and Gale,
arXiv:cmp-lg/9407020); with the Bradley-Terry judge p = σ(r_i - r_j) its entropy is largest there.
Largest: APL, arXiv:2402.08114, for implicit rewards; "Less is More", arXiv:2502.14560. So look at
both ends before you believe either. The spread of the estimates is not used.
"""

import numpy as np

from prefopt_core.selection.best_pair import Quantile, pair_at
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, quantile: Quantile = 0.0
) -> list[int]:
    """Choose the pair at a quantile of |r_i - r_j|, by default the largest margin.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among pairs of equal margin.
        quantile: Share of the pairs that have a larger margin: at 0 the best against the worst by
            reward, at 1 the two that are closest.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    r = candidates.rewards
    return pair_at(quantile, np.abs(r[:, None] - r), rng)


def smallest(candidates: Estimated, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair with the smallest |r_i - r_j|: 'margin' at quantile 1.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among pairs of equal margin.

    Raises:
        ConfigError: k is not 2.
    """
    return select(candidates, k, rng, quantile=1.0)
