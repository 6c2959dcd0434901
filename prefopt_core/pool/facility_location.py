"""Facility location: every row of the pool is close to a chosen one, on average.

    f(S) = Σ_i w_i · max(0, max_{j∈S} u_ij)

Greedy reaches 1 - 1/e of the optimum (Nemhauser, Wolsey and Fisher, "An analysis of approximations
for maximizing submodular set functions", 1978); gains only shrink, so most need not be computed
again (Minoux, "Accelerated greedy algorithms", 1978).

Notation: n rows, u_ij the cosine of row i to row j, w the weights, S the chosen set.
"""

import heapq
import math
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from pydantic import Field

from prefopt_core.arrays import FloatArray
from prefopt_core.pool.lists import lists_of
from prefopt_core.pool.neighbours import neighbours
from prefopt_core.pool.points import (
    ListArray,
    Picked,
    Pool,
    PositionArray,
    Vectors,
    require_count,
    slices,
)

DENSE = 5_000  # sampled rows up to which all pairs are compared: 100 MB
STRIPE = 16  # columns whose gains are computed at once: they stay in cache


class Columns(Protocol):
    """The similarities to every row j that can be chosen."""

    def __getitem__(self, j: int) -> tuple[PositionArray | slice, Vectors]:
        """The rows i that j is similar to, and how similar, u_ij."""
        ...

    def gains(self, weights: FloatArray, best: FloatArray) -> FloatArray:
        """(n,) what choosing each j adds to f, given the best similarity of every row so far."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """All similarities, (n, n) and symmetric."""

    similarity: Vectors

    def __getitem__(self, j: int) -> tuple[slice, Vectors]:
        return slice(None), self.similarity[j]

    def gains(self, weights: FloatArray, best: FloatArray) -> FloatArray:
        """See `Columns`."""
        stripes = slices(len(self.similarity), STRIPE)
        return np.concatenate(
            [np.maximum(self.similarity[at] - best, 0) @ weights for at in stripes]
        )


@dataclass(frozen=True, eq=False)
class Sparse:
    """The similarities that a graph has, by column: those of j lie in starts[j]:starts[j + 1]."""

    starts: PositionArray
    rows: PositionArray
    similarity: Vectors

    @classmethod
    def of(cls, ids: ListArray, similarity: Vectors) -> "Sparse":
        """Turn the neighbours of every row, (n, k) and without itself, into columns with it."""
        n, k = ids.shape
        edges = np.flatnonzero((ids >= 0) & (similarity > 0))
        itself = np.arange(n)
        columns = np.concatenate([itself.astype(np.int32), ids.ravel()[edges]])
        rows = np.concatenate([itself, edges // k])
        values = np.concatenate([np.ones(n, dtype=np.float32), similarity.ravel()[edges]])
        keys = columns.astype(np.int64) << 32 | np.arange(len(columns))
        keys.sort()  # twice as fast as a stable argsort of the columns, and the same order
        order = keys & 0xFFFFFFFF
        starts = np.searchsorted(keys >> 32, np.arange(n + 1))
        return cls(starts, rows[order], values[order])

    def __getitem__(self, j: int) -> tuple[PositionArray, Vectors]:
        at = slice(self.starts[j], self.starts[j + 1])
        return self.rows[at], self.similarity[at]

    def gains(self, weights: FloatArray, best: FloatArray) -> FloatArray:
        """See `Columns`."""
        added = np.maximum(self.similarity - best[self.rows], 0) * weights[self.rows]
        return np.add.reduceat(added, self.starts[:-1])  # no column is empty


def greedy(columns: Columns, weights: FloatArray, count: int) -> tuple[PositionArray, float, float]:
    """Choose, one after the other, the row that adds most to f; of equal ones, the first.

    Once no row adds anything, the heaviest rows left fill up the count.

    Args:
        columns: u.
        weights: (n,) w.
        count: How many, 1 <= count <= n.

    Returns:
        (count,) positions in picking order, f of them, and a bound that no set of this size can
        exceed: f plus the `count` largest gains that are left.
    """
    n = len(weights)
    best, picked, value = np.zeros(n), list[int](), 0.0
    heap = list(zip((-columns.gains(weights, best)).tolist(), range(n), strict=True))
    heapq.heapify(heap)
    known = np.full(n, -1)  # how many were picked when a gain was computed
    while len(picked) < count and heap[0][0] < 0:
        negative_gain, j = heap[0]
        rows, similarity = columns[j]
        if known[j] == len(picked):
            heapq.heappop(heap)
            best[rows] = np.maximum(best[rows], similarity)
            picked.append(j)
            value -= negative_gain
        else:
            gain = float(np.maximum(similarity - best[rows], 0) @ weights[rows])
            heapq.heapreplace(heap, (-gain, j))
            known[j] = len(picked)
    left = np.setdiff1d(np.arange(n), picked)
    heaviest = left[np.argsort(-weights[left], kind="stable")]
    order = np.concatenate([picked, heaviest])[:count].astype(np.int64)
    bound = value + float(np.sort(columns.gains(weights, best))[-count:].sum())
    return order, value, bound


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    *,
    per_pick: Annotated[int, Field(ge=1)] = 100,
    neighbours_per_row: Annotated[int, Field(ge=1)] = 64,
) -> Picked:
    """Choose rows that stand for the whole pool: greedy facility location on a sample of it.

    f counts the similarities of a sampled row to its nearest neighbours, and every other one as
    0. All pairs count if the sample has up to `DENSE` rows.

    Args:
        pool: n rows.
        count: How many to choose, 1 <= count <= n.
        rng: Draws the sample.
        per_pick: Rows sampled for each row chosen; the chosen ones are among them.
        neighbours_per_row: Similarities kept of each row when not all are.

    Returns:
        Greedy picking order, and what is proven about f of it on the sample.
    """
    require_count(count, len(pool))
    size = min(len(pool), per_pick * count)
    sampled = np.sort(rng.choice(len(pool), size=size, replace=False))
    weights = pool.weights[sampled]
    sample = pool.subset(sampled, weights * (pool.weights.sum() / weights.sum()))
    columns = _all(sample) if size <= DENSE else _nearest(sample, neighbours_per_row, rng)
    order, value, bound = greedy(columns, sample.weights, count)
    total = sample.weights.sum()
    compared = "all pairs" if isinstance(columns, Dense) else f"{neighbours_per_row} neighbours"
    ceiling = math.ceil(1e4 * bound / total) / 1e4
    return Picked(
        sampled[order],
        f"facility location {value / total:.4f}, no set of {count} exceeds {ceiling:.4f} "
        f"(ratio {value / bound:.3f}) among {size} sampled of {len(pool)} rows, {compared}",
    )


def _nearest(sample: Pool, k: int, rng: np.random.Generator) -> Sparse:
    return Sparse.of(*neighbours(sample, lists_of(sample, rng), k))


def _all(sample: Pool) -> Dense:
    rows = sample.take(np.arange(len(sample)))
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, 1.0)  # float16 rounds it below 1, and below other entries
    return Dense(similarity)
