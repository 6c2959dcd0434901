"""Pool strategies on real embeddings: all responses of a recorded pool as one pool of rows."""

import numpy as np

from benchmarks.printing import table
from benchmarks.quality.recorded_pools import Pool as Recorded
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.pool.choose import choose
from prefopt_core.pool.coverage import coverage
from prefopt_core.pool.points import Pool

SEEDS = range(5)
COUNTS = (100, 500)
MERGED = 0.95
FIGURES = ("value", "radius", "mean_similarity", "near_duplicates")


def rows_of(recorded: Recorded) -> Pool:
    """The embeddings of all distinct responses, whatever their prompt."""
    blocks = [prompt.candidates.embeddings for prompt in recorded.prompts]
    rows = np.concatenate([block for block in blocks if block is not None])
    return Pool.whole(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def row_table(recorded: Recorded, count: int) -> str:
    """Mean ± standard deviation over the seeds, measured on all rows."""
    pool = rows_of(recorded)
    lines = []
    for strategy in POOL_STRATEGIES:
        for merged in (MERGED, None):
            found = [_figures(pool, count, strategy, merged, seed) for seed in SEEDS]
            means, spread = np.mean(found, axis=0), np.std(found, axis=0)
            cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(means[:3], spread[:3], strict=True)]
            duplicates = f"{means[3]:.1f} ± {spread[3]:.1f}"
            lines.append([strategy, "yes" if merged else "no", *cells, duplicates])
    header = ["strategy", "merged", "coverage", "radius", "pair similarity", "near-duplicates"]
    return table(header, lines)


def _figures(pool: Pool, count: int, strategy: str, merged: float | None, seed: int) -> list[float]:
    params = POOL_STRATEGIES.complete_params(strategy, {})
    chosen = choose(pool, count, strategy, params, seed=seed, near_duplicates=merged)
    measured = coverage(pool, chosen.rows)
    return [float(getattr(measured, name)) for name in FIGURES]
