"""Which rows of a pool: seconds and memory of the strategies, near-duplicates merged."""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.scale.tables import Figures, Watched
from benchmarks.speed.embeddings import D, pool
from benchmarks.timing import threads
from prefopt_core.ground.randomness import rng_for
from prefopt_core.pool.choose import choose
from prefopt_core.pool.lists import build_index, open_index

COUNT = 1_000
"""Rows chosen."""
STRATEGIES = ("facility_location", "coreset", "random")


def pools(count: int, folder: Path, watched: Watched) -> Figures:
    """Write an index of vectors, then choose from it by each strategy."""
    vectors = np.empty((count, D), dtype=np.float16)
    pool(count, np.random.default_rng(count), vectors)
    rng = rng_for(0, "pool", "index")
    with threads(1):
        made = watched(partial(build_index, iter([vectors]), count, D, folder, rng=rng))
        figures = {f"index {name}": value for name, value in made.items()}
        figures["index bytes"] = float(sum(p.stat().st_size for p in folder.iterdir()))
        for name in STRATEGIES:
            found = watched(partial(choose, open_index(folder), COUNT, name, seed=0))
            figures |= {f"{name} {what}": value for what, value in found.items()}
    return figures
