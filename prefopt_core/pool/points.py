"""`Pool`, which a pool strategy is given, `Picked`, which it returns, and checks of both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.vectors import widen

PositionArray = npt.NDArray[np.int64]
ListArray = npt.NDArray[np.int32]
Vectors = npt.NDArray[np.float32]

UNEVEN = 0.01  # how far from 1 the length of a row may be: float16 moves it by less than 1e-3


@dataclass(frozen=True, eq=False)
class Pool:
    """n rows of a matrix of embeddings that may be larger than memory.

    A *position* counts the rows of the pool, 0..n-1; a *row* counts those of the matrix. Everything
    in this package speaks of positions, except `rows` here and in `choose`.

    Attributes:
        vectors: (n_total, d) float16 or float32, rows of unit length; may be memory-mapped.
        rows: (n,) which rows of `vectors` are in the pool, distinct.
        weights: (n,) how many rows of the data each stands for, > 0.
        nearest: (n, probes) the lists nearest to each row, the nearest first, as made by
            `lists.nearest_lists`; None if there are none yet.
        block_rows: How many rows are in memory as float32 at once.
    """

    vectors: npt.NDArray[np.floating]
    rows: PositionArray
    weights: FloatArray
    nearest: ListArray | None = None
    block_rows: int = 8192

    @classmethod
    def whole(cls, vectors: npt.NDArray[np.floating], nearest: ListArray | None = None) -> "Pool":
        """A pool of all rows of `vectors`, each standing for itself."""
        return cls(vectors, np.arange(len(vectors)), np.ones(len(vectors)), nearest)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def d(self) -> int:
        """The number of dimensions of a row."""
        return int(self.vectors.shape[1])

    def take(self, positions: PositionArray) -> Vectors:
        """(m, d) the rows at these positions."""
        return _single(self.vectors[self.rows[positions]])

    def blocks(self) -> Iterator[tuple[slice, Vectors]]:
        """Yield all rows, (m, d) at a time with m <= `block_rows`, and the positions they have."""
        for at in slices(len(self), self.block_rows):
            rows = self.rows[at]
            together = rows[-1] - rows[0] == len(rows) - 1 and bool((np.diff(rows) == 1).all())
            block = self.vectors[rows[0] : rows[-1] + 1] if together else self.vectors[rows]
            yield at, _single(block)

    def subset(self, positions: PositionArray, weights: FloatArray | None = None) -> "Pool":
        """The pool of these positions only, in this order, with their own weights or new ones."""
        return replace(
            self,
            rows=self.rows[positions],
            weights=self.weights[positions] if weights is None else weights,
            nearest=None if self.nearest is None else self.nearest[positions],
        )

    def mean(self) -> FloatArray:
        """(d,) the weighted mean of the rows, shorter than 1 the more they differ."""
        total = np.zeros(self.d)
        for at, block in self.blocks():
            total += self.weights[at] @ block
        return total / self.weights.sum()


def _single(rows: npt.NDArray[np.floating]) -> Vectors:
    return widen(rows) if rows.dtype == np.float16 else np.asarray(rows, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Picked:
    """What a strategy chose.

    Attributes:
        positions: (count,) distinct positions in the pool, in the order of picking. Where the
            method is greedy, the first m of them are what a budget of m would have bought.
        certificate: What is proven about this choice, in one line; empty if nothing is.
    """

    positions: PositionArray
    certificate: str = ""


PoolStrategy = Callable[..., Picked]
"""`(pool, count, rng, *, **params) -> Picked` with `count` distinct positions."""


def slices(n: int, size: int) -> Iterator[slice]:
    """Cut 0..n-1 into slices of `size`, the last one shorter.

    >>> list(slices(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(1, size)
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def require_count(count: int, n: int, of: str = "rows") -> None:
    """Refuse a count outside 1..n.

    Args:
        count: How many are to be chosen.
        n: How many there are.
        of: What there are n of, for the message.

    Raises:
        ConfigError: `count` is outside.
    """
    if not 1 <= count <= n:
        raise ConfigError(
            f"Cannot choose count={count} of {n} {of}: it must lie between 1 and {n}. "
            "Lower `pool.count`, or give a larger pool."
        )


def require_unit_rows(block: npt.NDArray[np.floating], rows: PositionArray) -> None:
    """Refuse rows that are zero, not finite or not of unit length.

    Args:
        block: (m, d).
        rows: (m,) their numbers, for the message.

    Raises:
        DataError: There is one.
    """
    length = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    unfit = ~(np.abs(length - 1) <= UNEVEN)  # NaN is not <= anything
    if unfit.any():
        first = int(unfit.argmax())
        raise DataError(
            f"Row {rows[first]} of the pool has length {length[first]:.4g}: every row must be "
            "finite and of unit length. Embed it again, or leave it out."
        )
