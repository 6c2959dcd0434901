"""Uniform random choice: the baseline every other strategy must beat."""

import numpy as np

from prefopt_core.pool.points import Picked, Pool, require_count


def select(pool: Pool, count: int, rng: np.random.Generator) -> Picked:
    """Draw `count` rows without replacement, all equally likely whatever they stand for."""
    require_count(count, len(pool))
    return Picked(rng.permutation(len(pool))[:count])
