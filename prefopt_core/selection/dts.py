"""Double Thompson sampling: two draws from what is believed, the best of each.

Wu and Liu, "Double Thompson Sampling for Dueling Bandits", arXiv:1604.07101; in the form of
ActiveUltraFeedback, arXiv:2603.09692, its code, which draws rewards and not probabilities.
"""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.best_pair import Width, first_by_lot
from prefopt_core.selection.candidates import Estimated
from prefopt_core.selection.requirements import require_pair

TRIES = 30
"""Second draws before the second response is any other one."""


def select(
    candidates: Estimated, k: int, rng: np.random.Generator, *, beta: Width = 1.0
) -> list[int]:
    """Choose the best of one draw of all rewards against the best of another (Thompson).

        i = argmax r + βs·z,   z ~ U(-1, 1) for each response;   j the same with a new z

    z is drawn again until j ≠ i, 30 times at most; then j is any other response. That happens
    where one response is certainly best, as with spreads of 0.

    Args:
        candidates: N distinct responses with estimated rewards.
        k: 2.
        rng: Draws z.
        beta: β >= 0, the width of the draws; at 0 the best by reward against any other.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_of_draws(candidates.rewards, candidates.rewards, beta * candidates.spreads, rng)


def best_of_draws(
    first: FloatArray, second: FloatArray, width: FloatArray, rng: np.random.Generator
) -> list[int]:
    """The best of a draw around `first`, and the best other one of draws around `second`.

    Args:
        first: (N,) middles of the first draw, N >= 2.
        second: (N,) those of the others; `TRIES` of them at most, then any other index is taken.
        width: (N,) half of the ranges that are drawn from, evenly.
        rng: Draws.

    Returns:
        Two indices, ascending.
    """
    n = len(width)

    def best(middle: FloatArray) -> int:
        return first_by_lot(middle + width * rng.uniform(-1.0, 1.0, size=n), rng)

    one = best(first)
    for _ in range(TRIES):
        if (other := best(second)) != one:
            return sorted([one, other])
    return sorted([one, int(rng.choice(np.delete(np.arange(n), one)))])
