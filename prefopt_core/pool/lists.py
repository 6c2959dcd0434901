"""Inverted lists (IVF): neighbours of a row are sought among the rows that share a centroid.

The partition behind FAISS's IVF indexes (Jégou et al., "Product Quantization for Nearest Neighbor
Search", 2011): the *home* of a row is the list of its nearest centroid,
and it visits the next few; together these are its *probes*.

Notation: n rows, L lists, `probes` lists per row.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import DataError
from prefopt_core.pool.clustering import Tree, nearest_centroids, spherical_k_means
from prefopt_core.pool.points import (
    ListArray,
    Pool,
    PositionArray,
    require_unit_rows,
)

PROBES = 4  # lists of a row
TRAINING_ROWS = 32  # that k-means clusters, per list, at most
MOST_TRAINING_ROWS = 2**18  # in all; 400 MB at d = 384
ROWS_PER_LIST = 500  # on average, at most
FLAT = 2048  # centroids up to which a row is compared with all; of more, through a `Tree`
ITERATIONS = 5  # of k-means
ALL_WITH_ALL = 4096  # rows up to which there is one list, and all pairs are compared
CROWDED = 100  # rows per list; with fewer, the lists of a larger pool are too thin for a sample


def nearest_lists(
    pool: Pool, rng: np.random.Generator, *, lists: int | None = None, probes: int = PROBES
) -> ListArray:
    """Cluster a sample of the pool, and find the lists nearest to every row.

    Args:
        pool: n rows; what `pool.nearest` holds is not looked at.
        rng: Draws the sample and where the clustering starts.
        lists: L, never more than n. None for a single list up to 4,096 rows, where comparing all
            with all is quick; for √n of as many rows up to 250,000, where twice as many would
            cost more in learning centroids than they save in comparisons; beyond that for one
            list per 500 rows, the nearest of more than 2,048 found by way of groups, so that the
            cost grows as n does.
        probes: Lists per row; never more than L.

    Returns:
        (n, probes) list numbers below L, the nearest first.
    """
    nearest = np.empty((len(pool), min(probes, _count(len(pool), lists))), dtype=np.int32)
    for at, numbers in _assign(pool, rng, lists, probes):
        nearest[at] = numbers
    return nearest


def lists_of(pool: Pool, rng: np.random.Generator) -> ListArray:
    """(n, probes) `pool.nearest` if it has `CROWDED` rows per list, else new `nearest_lists`."""
    if pool.nearest is not None and len(np.unique(pool.nearest[:, 0])) * CROWDED <= len(pool):
        return pool.nearest
    return nearest_lists(pool, rng)


def members_and_visitors(nearest: ListArray) -> Iterator[tuple[int, PositionArray, int]]:
    """Walk the lists that have members.

    Args:
        nearest: (n, probes), see `nearest_lists`.

    Yields:
        The list's number, the positions that have it among their probes, and how many of these
        are at home there: they come first. Both groups are in ascending order.
    """
    n = len(nearest)
    flat = nearest.T.ravel()  # all homes before all visits, and a stable sort keeps that
    order = np.argsort(flat, kind="stable")
    starts = np.searchsorted(flat[order], np.arange(flat.max() + 2))
    homes = np.bincount(nearest[:, 0], minlength=len(starts))
    for number, (start, stop) in enumerate(pairwise(starts)):
        if homes[number]:
            yield number, order[start:stop] % n, int(homes[number])


def build_index(
    blocks: Iterable[npt.NDArray[np.floating]],
    n: int,
    d: int,
    folder: Path,
    *,
    rng: np.random.Generator,
    lists: int | None = None,
    probes: int = PROBES,
) -> Pool:
    """Write a pool and its lists to disk, block by block, and open it.

    Args:
        blocks: (m, d) unit rows each, n rows in all.
        n: How many rows will come, at least one.
        d: How many dimensions they have.
        folder: An existing folder; gets `vectors.npy` (float16) and `nearest.npy` (int32), the
            same bytes for the same rows and `rng`.
        rng: See `nearest_lists`.
        lists: See `nearest_lists`.
        probes: See `nearest_lists`.

    Returns:
        The pool, memory-mapped and read-only.

    Raises:
        DataError: A block has another d or a row that is not of unit length, or there are more or
            fewer than n rows.
    """
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.dtype("<f2"), (n, d))
    stop = 0
    for block in blocks:
        start, stop = stop, stop + len(block)
        if stop > n or block.shape[1] != d:
            raise DataError(f"Expected ({n}, {d}) vectors, and rows {start}.. are {block.shape}.")
        require_unit_rows(block, np.arange(start, stop))
        vectors[start:stop] = block
    if stop < n:
        raise DataError(f"Expected {n} vectors, and only {stop} came. Embed every row.")
    shape = (n, min(probes, _count(n, lists)))
    nearest = np.lib.format.open_memmap(folder / "nearest.npy", "w+", np.dtype("<i4"), shape)
    for at, numbers in _assign(Pool.whole(vectors), rng, lists, probes):
        nearest[at] = numbers
    vectors.flush()
    nearest.flush()
    return open_index(folder)


def open_index(folder: Path) -> Pool:
    """The pool that `build_index` wrote, memory-mapped and read-only."""
    vectors, nearest = (np.load(folder / f"{x}.npy", mmap_mode="r") for x in ("vectors", "nearest"))
    return Pool.whole(vectors, nearest)


def _count(n: int, lists: int | None) -> int:
    if lists is None:
        lists = max(math.isqrt(n), n // ROWS_PER_LIST) if n > ALL_WITH_ALL else 1
    return min(lists, n)


def _assign(
    pool: Pool, rng: np.random.Generator, lists: int | None, probes: int
) -> Iterator[tuple[slice, PositionArray]]:
    count = _count(len(pool), lists)
    size = min(len(pool), max(count, min(TRAINING_ROWS * count, MOST_TRAINING_ROWS)))
    sample = rng.choice(len(pool), size=size, replace=False)
    sample.sort()  # reads a memory-mapped file forwards
    points, weights = pool.take(sample), pool.weights[sample]
    probes = min(probes, count)
    if count > FLAT:
        tree = Tree.grow(points, weights, count, ITERATIONS, rng)
        yield from ((at, tree.nearest(block, probes)) for at, block in pool.blocks())
        return
    centroids = spherical_k_means(points, weights, count, ITERATIONS, rng)
    for at, block in pool.blocks():
        yield at, nearest_centroids(block, centroids, probes)[0]
