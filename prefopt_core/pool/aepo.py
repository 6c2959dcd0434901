"""AEPO's objective over a whole pool: a baseline for comparison, not recommended.

The objective is linear in similarities and meant for the few responses to one prompt. Over a pool
it picks many near-duplicates of a few directions and covers *worse than random*: of 10⁵ rows and
1,000 picks, a mean best cosine of .60 against .68, with hundreds of pairs above .95.

Jinnai and Honda, arXiv:2405.13541; `selection.aepo` is the objective for one prompt.

Notation: m rows selected so far, e_y the embedding of row y, w the weights, λ the diversity weight.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from prefopt_core.pool.points import Picked, Pool, Vectors, require_count


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    *,
    diversity_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0,
) -> Picked:
    """Maximise AEPO's objective greedily, one matrix-vector product with the pool per pick.

    Of unit rows, both of its parts are products with sums, so that the next pick is

        argmax_y e_y·(Σ_i w_i e_i / (Σ_i w_i - 1)  -  2λ/m · Σ_{s selected} e_s)

    Args:
        pool: n rows.
        count: How many to choose, 1 <= count <= n.
        rng: Not used: no step draws.
        diversity_weight: λ >= 0, see `selection.aepo`.

    Returns:
        Greedy picking order; of equally good rows, the first.
    """
    require_count(count, len(pool))
    total = pool.weights.sum()
    representative = _products(pool, (pool.mean() * total / max(total - 1, 1)).astype(np.float32))
    redundant = np.zeros(len(pool))
    picked = [int(representative.argmax())]
    while len(picked) < count:
        redundant += _products(pool, pool.take(np.array(picked[-1:]))[0])
        worth = representative - 2 * diversity_weight / len(picked) * redundant
        worth[picked] = -np.inf
        picked.append(int(worth.argmax()))
    return Picked(np.array(picked))


def _products(pool: Pool, direction: Vectors) -> Vectors:
    """(n,) the scalar product of every row with one vector (d,)."""
    return np.concatenate([block @ direction for _, block in pool.blocks()])
