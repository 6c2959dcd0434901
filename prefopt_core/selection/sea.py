"""SEA: what one head finds best, against what the heads can compare with it least.

Liu et al., "Sample-Efficient Alignment for LLMs", arXiv:2411.01493, as its code has it for best-arm
identification: Thompson sampling for the first response, exploration for the second. Notation: h
one of H heads, r_ih its reward of response i.
"""

import numpy as np

from prefopt_core.selection.best_pair import first_by_lot
from prefopt_core.selection.candidates import Ensemble
from prefopt_core.selection.margin_std import spreads_of_margins
from prefopt_core.selection.requirements import require_pair


def select(candidates: Ensemble, k: int, rng: np.random.Generator) -> list[int]:
    """Choose one head's best against the response most doubtful beside it (SEA).

        i = argmax r_ih of one head h,   j = argmax_{j≠i} std_h(r_ih - r_jh)

    Args:
        candidates: N distinct responses with rewards by several heads.
        k: 2.
        rng: Draws the head, and among equals.

    Raises:
        ConfigError: k is not 2.
    """
    require_pair(k, len(candidates))
    heads = candidates.heads
    first = first_by_lot(heads[:, rng.integers(heads.shape[1])], rng)
    doubt = spreads_of_margins(heads)[first]
    doubt[first] = -np.inf
    return sorted([first, first_by_lot(doubt, rng)])
