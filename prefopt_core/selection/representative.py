"""The representative half of AEPO alone: its λ = 0, an ablation of arXiv:2405.13541."""

import numpy as np

from prefopt_core.selection.aepo import aepo_with_bound
from prefopt_core.selection.candidates import Candidates, Found


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> Found:
    """Choose the k responses most similar to all samples, however alike they are."""
    return aepo_with_bound(candidates.similarity, k, diversity_weight=0.0, counts=candidates.counts)
