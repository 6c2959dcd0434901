"""Every pair of responses with unequal scores."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np


def pair(scores: Sequence[float], rng: np.random.Generator) -> list[tuple[int, int]]:
    """Make k·(k-1)/2 pairs of k scores, less the ties.

    >>> pair([1.0, 3.0, 1.0], np.random.default_rng(0))
    [(1, 0), (1, 2)]
    """
    ordered = [
        (i, j) if scores[i] > scores[j] else (j, i) for i, j in combinations(range(len(scores)), 2)
    ]
    return [(i, j) for i, j in ordered if scores[i] > scores[j]]
