"""k-medoids selection: every sample is close to a selected one, on average.

Partitioning Around Medoids, Kaufman and Rousseeuw, "Finding Groups in Data" (1990): build
greedily, then make the best swap until none helps. scikit-learn has no k-medoids.

Notation: N candidates, k medoids, D the (N, N) distances, c the counts.
"""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.aepo import TIE
from prefopt_core.selection.best_subset import first_best
from prefopt_core.selection.candidates import Candidates
from prefopt_core.selection.requirements import require_k


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """Choose k responses with the smallest total distance of every sample to its nearest one.

    cost(S) = Σ_i c_i · min_{j∈S} D_ij, with D = 1 - cosine. No swap of one member lowers it.
    """
    require_k(k, len(candidates))
    counts = candidates.counts / candidates.counts.sum()  # cost becomes a mean, of size 1
    distance = 1.0 - candidates.similarity
    medoids: list[int] = []
    while len(medoids) < k:
        medoids.append(first_best(-_cost_with_each(distance, counts, medoids, medoids), TIE))

    cost = counts @ distance[:, medoids].min(axis=1)
    while True:
        rest = [medoids[:p] + medoids[p + 1 :] for p in range(k)]
        costs = np.array([_cost_with_each(distance, counts, kept, medoids) for kept in rest])
        if costs.min() >= cost - TIE:
            return sorted(medoids)
        out, added = divmod(first_best(-costs.ravel(), TIE), len(candidates))
        medoids, cost = [*rest[out], added], costs[out, added]


def _cost_with_each(
    distance: FloatArray, counts: FloatArray, medoids: list[int], taken: list[int]
) -> FloatArray:
    """(N,) the cost of `medoids` plus each candidate; infinite for those already `taken`."""
    nearest = distance[:, medoids].min(axis=1, initial=np.inf)
    costs: FloatArray = counts @ np.minimum(nearest[:, None], distance)
    costs[taken] = np.inf
    return costs
