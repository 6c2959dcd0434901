"""InfoMax: the pair whose probability of preference has the widest confidence interval.

As in ActiveUltraFeedback, arXiv:2603.09692, its code. Notation: r rewards, s spreads, u = r + βs,
l = r - βs.
"""

import numpy as np

from prefopt_core.arrays import FloatArray, sigmoid
from prefopt_core.selection.best_pair import Width, best_pair
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose the pair for which P(i better than j) is bounded least tightly (InfoMax).

        argmax_{i≠j} σ(u_i - l_j) - σ(l_i - u_j)

    Both bounds of a difference add up two spreads, as if the errors of i and j were opposite. The
    width is the same for (i, j) and (j, i).

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among equal pairs; if no reward has a spread, all are equal.
        beta: β >= 0, the width of the bounds; at 0 all pairs are equal.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(widths(candidates, beta), rng)


def widths(candidates: Estimated, beta: float) -> FloatArray:
    """(N, N) σ(u_i - l_j) - σ(l_i - u_j): how loosely P(i better than j) is bounded; 0 to 1."""
    difference = candidates.rewards[:, None] - candidates.rewards
    width = beta * (candidates.spreads[:, None] + candidates.spreads)
    return sigmoid(difference + width) - sigmoid(difference - width)
