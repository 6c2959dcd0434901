"""Vote entropy: the pair that divides the heads' votes most evenly.

Query by committee with the measure of Dagan and Engelson, "Committee-Based Sampling For Training
Probabilistic Classifiers" (ICML 1995). Notation: h one of H heads, r_ih its reward of response i,
H(p) = -p·log p - (1 - p)·log(1 - p) in nats.
"""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.best_pair import best_pair
from prefopt_core.selection.candidates import Ensemble
from prefopt_core.selection.entropy import entropy
from prefopt_core.selection.requirements import require_pair


def votes(heads: FloatArray) -> FloatArray:
    """(N, N) share of the heads that find i better than j; who finds them equal votes half.

    Args:
        heads: (N, H) rewards by each head.
    """
    return (1 + np.sign(heads[:, None] - heads).mean(axis=2)) / 2


def select(candidates: Ensemble, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair that divides the heads' votes most evenly (vote entropy).

        argmax_{i≠j} H(mean_h [r_ih > r_jh])

    A vote says nothing of how sure a head is, so heads that doubt a pair count as much as heads
    that are at odds about it. A few heads divide in a few ways only, so equal pairs are usual.

    Args:
        candidates: N distinct responses with rewards by several heads.
        k: 2.
        rng: Draws among equal pairs.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(entropy(votes(candidates.heads)), rng)
