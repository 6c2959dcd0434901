"""Spread of the margin: the pair whose difference in reward heads agree about least.

The pure exploration among the baselines of Liu et al., "Sample-Efficient Alignment for LLMs",
arXiv:2411.01493, as its code has it. Notation: h one of H heads, r_ih its reward of response i.
"""

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.best_pair import best_pair
from prefopt_core.selection.candidates import Ensemble
from prefopt_core.selection.requirements import require_pair


def spreads_of_margins(heads: FloatArray) -> FloatArray:
    """Standard deviation over heads of every difference in reward.

        S_ij = std_h(r_ih - r_jh)

    Args:
        heads: (N, H) rewards by each head.

    Returns:
        (N, N), symmetric, in the units of the rewards; 0 on the diagonal.
    """
    margins = heads[:, None] - heads
    # Beside those of the first head, so that heads that agree have a spread of exactly 0.
    return (margins - margins[:, :, :1]).std(axis=2)


def select(candidates: Ensemble, k: int, rng: np.random.Generator) -> list[int]:
    """Choose the pair whose difference in reward heads agree about least (spread of the margin).

        argmax_{i≠j} std_h(r_ih - r_jh)

    Unlike 'bald' it also asks about what no head doubts: margins of 5 and of 9 are one verdict.
    Where rewards are small, both choose the same pair. Unlike 'info_max' it knows when the errors
    of two rewards are the same error, and then leaves them alone.

    Args:
        candidates: N distinct responses with rewards by several heads.
        k: 2.
        rng: Draws among equal pairs; where all heads agree, all are equal.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    return best_pair(spreads_of_margins(candidates.heads), rng)
