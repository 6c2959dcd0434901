"""DeltaQuantile: not the pair whose quality may differ most, but one a little below it.

ActiveUltraFeedback, arXiv:2603.09692, its code. Notation: r rewards, s spreads, u = r + βs,
l = r - βs, N responses.
"""

import numpy as np

from prefopt_core.selection.best_pair import Quantile, Width, optimistic, pair_at
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated,
    k: int,
    rng: np.random.Generator,
    *,
    beta: Width = 1.0,
    quantile: Quantile = 0.05,
) -> list[int]:
    """Choose the pair at a quantile of u_i - l_j, near the one that may differ most in reward.

    The N(N - 1) ordered pairs count, so that beyond ½ mostly those are left in which i is thought
    the worse one.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws among equal pairs.
        beta: β >= 0, the width of the bounds.
        quantile: Share of the ordered pairs that have a larger u_i - l_j; 0 is 'delta_ucb', and so
            is 0.05 (that of the authors' configs) if N < 5.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return pair_at(quantile, optimistic(candidates, beta), rng)
