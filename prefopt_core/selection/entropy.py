"""Entropy: the pair whose verdict is least certain, whether heads doubt it or disagree about it.

Maximum entropy sampling, which BALD is a correction of (Houlsby et al., arXiv:1112.5745).
Notation: h one of H heads, r_ih its reward of response i, H(p) = -p·log p - (1 - p)·log(1 - p) in
nats.
"""

import numpy as np

from prefopt_core.arrays import FloatArray, sigmoid
from prefopt_core.selection.best_pair import best_pair
from prefopt_core.selection.candidates import Ensemble
from prefopt_core.selection.requirements import require_pair


def entropy(p: FloatArray) -> FloatArray:
    """H(p) of probabilities, in nats; 0 at 0 and at 1."""
    tiny = np.finfo(float).tiny  # p·log p is 0 at 0
    return -p * np.log(np.maximum(p, tiny)) - (1 - p) * np.log(np.maximum(1 - p, tiny))


def preferences(heads: FloatArray) -> FloatArray:
    """(N, N, H) what each head says, P(i better than j) = σ(r_ih - r_jh).

    Args:
        heads: (N, H) rewards by each head, in the units of log-odds.
    """
    return sigmoid(heads[:, None] - heads)


def select(candidates: Ensemble, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair whose verdict is least certain, by all heads together (entropy).

        argmax_{i≠j} H(mean_h p_ijh),   p_ijh = σ(r_ih - r_jh)

    It likes pairs that every head finds equal; 'bald' subtracts that doubt. With a single opinion
    of each reward it would be 'small_margin'.

    Args:
        candidates: N distinct responses with rewards by several heads.
        k: 2.
        rng: Draws among equal pairs.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(entropy(preferences(candidates.heads).mean(axis=2)), rng)
