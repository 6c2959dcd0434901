"""The k nearest neighbours of every row, approximately, by one matrix product per list.

An IVF search goes row by row through the lists each row probes. This join goes list by list, and
compares all rows that probe it with all its members at once, so that the work is a dense product.

Notation: n rows, k neighbours.
"""

import numpy as np
import numpy.typing as npt

from prefopt_core.pool.lists import members_and_visitors
from prefopt_core.pool.points import ListArray, Pool, PositionArray, Vectors, slices

TILE = 2**18  # similarities that exist at once, with their keys: about what a core has in cache
BASE = 4096  # members of a list that are in memory at once
EMPTY = np.iinfo(np.int64).min

Keys = npt.NDArray[np.int64]
"""A similarity in the upper 32 bits, in an integer of the same order, and ~id in the lower: one
sort orders by similarity, equal ones by position, and carries the ids along. `EMPTY` is id -1."""


def neighbours(pool: Pool, nearest: ListArray, k: int) -> tuple[ListArray, Vectors]:
    """Find the k rows most similar to each row among those at home in the lists it probes.

    Args:
        pool: n rows, n < 2³¹.
        nearest: (n, probes), see `lists.nearest_lists`. More probes find more true neighbours.
        k: Neighbours per row, >= 1.

    Returns:
        (n, k) positions, the most similar first, without the row itself, -1 where there is no
        more; and (n, k) their cosines, 0 where there is no more.
    """
    table = np.full((len(pool), k), EMPTY)
    for _, positions, homes in members_and_visitors(nearest):
        for held in slices(homes, BASE):
            _compare(pool, positions, held, table)
    return _unpack(table)


def _compare(pool: Pool, positions: PositionArray, held: slice, table: Keys) -> None:
    """Compare `held` members of a list with all rows that probe it; update their k in `table`."""
    k = table.shape[1]
    base, ids = pool.take(positions[held]), positions[held]
    for at in slices(len(positions), TILE // (len(base) + k)):
        rows = positions[at]
        keys = np.empty((len(rows), k + len(base)), dtype=np.int64)
        keys[:, :k] = table[rows]
        _pack(pool.take(rows) @ base.T, ids, keys[:, k:])
        own = np.arange(max(at.start, held.start), min(at.stop, held.stop))
        keys[own - at.start, k + own - held.start] = EMPTY
        keys.partition(len(base), axis=1)
        table[rows] = keys[:, len(base) :]


def _pack(similarity: Vectors, ids: PositionArray, keys: Keys) -> None:
    bits = similarity.view(np.int32)
    np.left_shift(_ordered(bits), 32, out=keys, dtype=np.int64)
    keys |= ~ids & 0xFFFFFFFF


def _unpack(table: Keys) -> tuple[ListArray, Vectors]:
    table.sort(axis=1)
    keys = table[:, ::-1]
    ids = ~keys.astype(np.int32)  # keeps the lower half
    similarity = _ordered((keys >> 32).astype(np.int32)).view(np.float32)
    return ids, np.where(ids < 0, np.float32(0), similarity)


def _ordered(bits: ListArray) -> ListArray:
    """Floats order like their bits, except that negative ones run backwards. Its own inverse."""
    return bits ^ ((bits >> 31) & np.int32(0x7FFFFFFF))
