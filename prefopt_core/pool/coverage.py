"""Coverage of a pool by its chosen rows: the metrics by which pool strategies are compared.

Notation: n rows of the pool, m chosen, w the weights.
"""

from dataclasses import dataclass

import numpy as np

from prefopt_core.pool.points import Pool, PositionArray, require_count, slices

TILE = 2**22  # similarities that exist at once: 16 MB


@dataclass(frozen=True)
class Coverage:
    """Metrics of m chosen rows.

    Attributes:
        value: Σ_i w_i max(0, best cosine of row i to a chosen one) / Σ_i w_i; higher is better.
        radius: 1 - best cosine of the row worst covered; lower is better.
        mean_similarity: Mean cosine of pairs of chosen rows; 0 for one row. Lower is more diverse.
        near_duplicates: Pairs of chosen rows with a cosine of the threshold or more.
    """

    value: float
    radius: float
    mean_similarity: float
    near_duplicates: int


def coverage(pool: Pool, chosen: PositionArray, *, threshold: float = 0.95) -> Coverage:
    """Compare the chosen rows with every row of the pool and with each other.

    Args:
        pool: n rows; read once, block by block.
        chosen: (m,) distinct positions, m >= 1.
        threshold: Cosine from which a pair counts as near-duplicates.
    """
    require_count(len(chosen), len(pool))
    rows = pool.take(chosen)
    value, worst = 0.0, np.inf
    for at, block in pool.blocks():
        for part in slices(len(block), TILE // len(rows)):
            best = (block[part] @ rows.T).max(axis=1)
            value += float(np.maximum(best, 0) @ pool.weights[at][part])
            worst = min(worst, float(best.min()))

    close, similarity = 0, 0.0
    for part in slices(len(rows), TILE // len(rows)):
        pairs = rows[part] @ rows.T
        pairs[np.arange(len(pairs)), np.arange(part.start, part.stop)] = 0
        close += int((pairs >= threshold).sum())
        similarity += float(pairs.sum(dtype=np.float64))
    ordered_pairs = max(1, len(rows) * (len(rows) - 1))
    total = float(pool.weights.sum())
    return Coverage(value / total, 1 - worst, similarity / ordered_pairs, close // 2)
