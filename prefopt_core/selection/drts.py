"""Double reverse Thompson sampling: the best of one draw of rewards, the worst of another.

ActiveUltraFeedback, arXiv:2603.09692. Against `dts` it asks about pairs that may differ most, not
about those that may be best.
"""

import numpy as np

from prefopt_core.selection.best_pair import Width
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.dts import best_of_draws
from prefopt_core.selection.requirements import require_pair


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose the best of one draw of all rewards against the worst of another (DRTS).

        i = argmax r + βs·z,   j = argmax -r + βs·z',   z, z' ~ U(-1, 1) for each response

    z' is drawn again until j ≠ i, 30 times at most; then j is any other response.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws z.
        beta: β >= 0, the width of the draws; at 0 the best against the worst by reward.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_of_draws(candidates.rewards, -candidates.rewards, beta * candidates.spreads, rng)
