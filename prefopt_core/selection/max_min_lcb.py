"""MaxMinLCB: the response that is best in its worst comparison, against that comparison.

Pásztor, Kassraie and Krause, "Bandits with Preference Feedback: A Stackelberg Game Perspective",
arXiv:2406.16745: a leader chooses i knowing that a follower answers with the j that hurts most.
The bound on a difference is that of ActiveUltraFeedback, arXiv:2603.09692: the spreads add up.
"""

import numpy as np

from prefopt_core.selection.best_pair import Width, first_by_lot
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose the pair of a game between a leader and a follower on lower bounds (MaxMinLCB).

        L_ij = r_i - r_j - β(s_i + s_j),   i = argmax_i min_{j≠i} L_ij,   j = argmin_{j≠i} L_ij

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among equals.
        beta: β >= 0, the width of the bounds; at 0 the two best by reward.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    r, s = candidates.rewards, candidates.spreads
    bound = r[:, None] - r - beta * (s[:, None] + s)
    np.fill_diagonal(bound, np.inf)
    leader = first_by_lot(bound.min(axis=1), rng)
    return sorted([leader, first_by_lot(-bound[leader], rng)])
