"""DeltaUCB: the pair whose quality may differ most, if one is optimistic.

ActiveUltraFeedback, arXiv:2603.09692. Notation: r rewards, s spreads, u = r + βs, l = r - βs.
"""

import numpy as np

from prefopt_core.selection.best_pair import Width, best_pair, optimistic
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose the pair with the largest u_i - l_j, which may differ most in reward (DeltaUCB).

        argmax_{i≠j} (r_i + βs_i) - (r_j - βs_j)

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among equal pairs.
        beta: β >= 0; at 0 the best against the worst by reward.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(optimistic(candidates, beta), rng)
