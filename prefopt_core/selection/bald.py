"""BALD: the pair that heads disagree about, each being sure of its own opinion.

Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning",
arXiv:1112.5745, Equation 2. Notation: h one of H heads, r_ih its reward of response i,
H(p) = -p·log p - (1 - p)·log(1 - p) in nats.
"""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.best_pair import best_pair
from prefopt_core.selection.candidates import Ensemble
from prefopt_core.selection.entropy import entropy, preferences
from prefopt_core.selection.requirements import require_pair


def information(heads: FloatArray) -> FloatArray:
    """What a verdict on each pair says about which head is right, in nats.

        I_ij = H(mean_h p_ijh) - mean_h H(p_ijh),   p_ijh = σ(r_ih - r_jh)

    Args:
        heads: (N, H) rewards by each head, in the units of log-odds.

    Returns:
        (N, N), symmetric, at least 0 and at most log 2; 0 on the diagonal.
    """
    p = preferences(heads)
    return np.maximum(entropy(p.mean(axis=2)) - entropy(p).mean(axis=2), 0.0)


def select(candidates: Ensemble, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair whose verdict says most about which head is right (BALD).

    Args:
        candidates: N distinct responses with rewards by several heads.
        k: 2.
        rng: Draws among equal pairs; where all heads agree, all are equal.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(information(candidates.heads), rng)
