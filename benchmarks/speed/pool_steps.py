"""The steps over a pool, timed at one size: what the growth of their cost is seen from."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from benchmarks.speed.embeddings import D, pool
from benchmarks.timing import Time, once
from prefopt_core.pool import Pool, coreset, facility_location
from prefopt_core.pool.lists import nearest_lists
from prefopt_core.pool.near_duplicates import leaders
from prefopt_core.pool.neighbours import neighbours
from prefopt_core.pool.points import ListArray, Picked, PositionArray, Vectors

LISTS = "lists"
DUPLICATES = "near-duplicates, lists given"
GRAPH = "kNN graph k = 64, lists given"
LOCATION = "facility location, B = 1,000"
CENTRES = "k-centre, B = 1,000"

COUNT = 1000
K = 64
THRESHOLD = 0.95


@dataclass
class Steps:
    """What every step took and gave.

    Attributes:
        times: By the names above.
        pool: The rows, with their lists.
        leader_of: (n,) see `near_duplicates.leaders`.
        graph: See `neighbours.neighbours`; None if left out.
        located: The rows facility location chose.
    """

    pool: Pool
    times: dict[str, Time] = field(default_factory=dict)
    leader_of: PositionArray | None = None
    graph: tuple[ListArray, Vectors] | None = None
    located: Picked | None = None


def measure(vectors: npt.NDArray[np.floating], *, graph: bool = True) -> Steps:
    """Do every step once."""
    bare = Pool.whole(vectors)
    nearest, listed = once(lambda: nearest_lists(bare, _rng()))
    steps = Steps(Pool.whole(vectors, nearest), {LISTS: listed})
    ours = steps.pool
    steps.leader_of, steps.times[DUPLICATES] = once(lambda: leaders(ours, nearest, THRESHOLD))
    steps.located, steps.times[LOCATION] = once(
        lambda: facility_location.select(ours, COUNT, _rng())
    )
    _, steps.times[CENTRES] = once(lambda: coreset.select(ours, COUNT, _rng()))
    if graph:
        steps.graph, steps.times[GRAPH] = once(lambda: neighbours(ours, nearest, K))
    return steps


@contextmanager
def mapped(n: int) -> Iterator[npt.NDArray[np.float16]]:
    """A pool of n rows, float16, in a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npy"
        vectors = np.lib.format.open_memmap(path, "w+", np.dtype("<f2"), (n, D))
        pool(n, np.random.default_rng(n), vectors)
        vectors.flush()
        yield np.load(path, mmap_mode="r")


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)
