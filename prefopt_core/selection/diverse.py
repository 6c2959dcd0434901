"""The diverse half of AEPO alone: the limit of large λ, an ablation of arXiv:2405.13541."""

import numpy as np

from prefopt_core.selection.aepo import TIE
from prefopt_core.selection.best_subset import best_subset
from prefopt_core.selection.candidates import Candidates, Found
from prefopt_core.selection.requirements import require_k


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> Found:
    """Choose the k responses least similar to each other, however odd they are."""
    require_k(k, len(candidates))
    u = candidates.similarity
    return best_subset(-(u + u.T) / 2, k, tolerance=TIE)
