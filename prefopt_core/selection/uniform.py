"""Uniform random selection: the baseline every other strategy must beat."""

import numpy as np

from prefopt_core.selection.candidates import Candidates
from prefopt_core.selection.requirements import require_k


def select(candidates: Candidates, k: int, rng: np.random.Generator) -> list[int]:
    """Draw k of the N distinct responses without replacement, all equally likely."""
    require_k(k, len(candidates))
    return sorted(rng.choice(len(candidates), size=k, replace=False).tolist())
