"""InfoGain: a response that may be best, against the one least known beside it.

As in ActiveUltraFeedback, arXiv:2603.09692, its code. Notation: r rewards, s spreads, u = r + βs,
l = r - βs.
"""

import numpy as np

from prefopt_core.selection.best_pair import Width, first_by_lot
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.info_max import widths
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose a draw's best against what is bounded least tightly beside it (InfoGain).

        i = argmax r + βs·z,   z ~ U(-1, 1) for each response
        j = argmax_{j≠i} σ(u_i - l_j) - σ(l_i - u_j)

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws z, and among equals.
        beta: β >= 0, the width of the draw and of the bounds; at 0 the best by reward against any
            other.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    z = rng.uniform(-1.0, 1.0, size=len(candidates))
    first = first_by_lot(candidates.rewards + beta * candidates.spreads * z, rng)
    width = widths(candidates, beta)[first]
    width[first] = -np.inf
    return sorted([first, first_by_lot(width, rng)])
