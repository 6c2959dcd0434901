"""Smallest margin: the pair whose outcome is least certain by the estimated rewards.

Uncertainty sampling (Lewis and Gale, "A Sequential Algorithm for Training Text Classifiers",
arXiv:cmp-lg/9407020) with the Bradley-Terry judge p = σ(r_i - r_j): its entropy H(p) is largest
where |r_i - r_j| is smallest. The spread of the estimates is not used. Others take the *largest*
margin (APL, arXiv:2402.08114), so look at both ends before you believe either.
"""

import numpy as np

from prefopt_core.selection.best_pair import best_pair
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(candidates: Estimated, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair with the smallest |r_i - r_j|: the judge's entropy is largest.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among pairs of equal margin.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    r = candidates.rewards
    return best_pair(-np.abs(r[:, None] - r), rng)
