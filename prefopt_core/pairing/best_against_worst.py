"""The best response against the worst: the pair with the clearest preference."""

from collections.abc import Sequence

import numpy as np


def pair(scores: Sequence[float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Pair the highest score with the lowest; of equal ones the first is chosen.

    >>> pair([0.5, 2.0, -1.0], np.random.default_rng(0))
    [(1, 2)]
    """
    best, worst = int(np.argmax(scores)), int(np.argmin(scores))
    return [(best, worst)] if scores[best] > scores[worst] else []
