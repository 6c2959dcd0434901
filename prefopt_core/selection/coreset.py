"""Core-set selection: cover the candidates, so that none is far from a selected one.

Farthest-first traversal for the k-centre problem, Gonzalez, "Clustering to minimize the maximum
intercluster distance" (1985): its largest distance is at most twice the smallest possible one,
for distances that obey the triangle inequality. For active learning: Sener and Savarese,
arXiv:1708.00489. A baseline of AEPO, arXiv:2405.13541.
"""

import numpy as np

from prefopt_core.selection.aepo import TIE, representativeness
from prefopt_core.selection.best_subset import first_best
from prefopt_core.selection.candidates import Candidates
from prefopt_core.selection.requirements import require_k


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """Start at the most typical response, then take the one farthest from all taken so far.

    The distance is 1 - similarity; that of the cosine orders unit vectors as the Euclidean does.
    """
    require_k(k, len(candidates))
    similarity = candidates.similarity
    selected = [first_best(representativeness(similarity, candidates.counts), TIE)]
    while len(selected) < k:
        distance = (1.0 - similarity[:, selected]).min(axis=1)  # (N,) to the nearest selected
        distance[selected] = -np.inf
        selected.append(first_best(distance, TIE))
    return sorted(selected)
