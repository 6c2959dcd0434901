"""k-centre: no row of the pool is far from a chosen one.

Farthest-first traversal, Gonzalez, "Clustering to minimize the maximum intercluster distance"
(1985): its radius is at most twice the smallest possible one, for distances that obey the triangle
inequality. For active learning: Sener and Savarese, arXiv:1708.00489.

The largest cosine of a row to the chosen ones only grows as rows are chosen, so an outdated one
bounds its distance from above. Only the *front*, the rows that may be farthest, is updated: the
picks are those of plain farthest-first traversal, and most products with the pool are spared.

Notation: n rows, M of them in the front.
"""

from dataclasses import dataclass

import numpy as np

from prefopt_core.pool.points import Picked, Pool, PositionArray, Vectors, require_count, slices

TILE = 2**23  # similarities that exist at once: 32 MB
FRONT = 4096  # M at most: few enough that comparing them with one more row stays in cache
SHARE = 10  # one row in so many is in the front: of a small pool, more would be all the work


@dataclass(frozen=True, eq=False)
class Known:
    """Distances of all rows to the chosen ones, updated lazily.

    Attributes:
        best: (n,) the largest cosine to the first `seen` chosen rows; infinite if chosen itself.
        seen: (n,) how many chosen rows that takes into account.
    """

    best: Vectors
    seen: PositionArray


def select(pool: Pool, count: int, rng: np.random.Generator) -> Picked:
    """Start at the row most like the mean, then take the one farthest from all taken so far.

    The distance is 1 - cosine, which orders unit vectors as the Euclidean distance does. Ties go
    to the first position. Weights matter for the mean only: a far row is far however rare.
    """
    require_count(count, len(pool))
    known = Known(np.full(len(pool), -np.inf, dtype=np.float32), np.zeros(len(pool), np.int64))
    picked = np.full(count, _most_typical(pool))
    chosen = np.empty((count, pool.d), dtype=np.float32)
    chosen[0] = pool.take(picked[:1])
    known.best[picked[0]] = np.inf
    _refresh(pool, known, chosen[:1], np.arange(len(pool)))  # sequential reads of a mapped file
    done = 1
    while done < count:
        front, limit = _front(pool, known, chosen[:done])
        done = _traverse(pool, known, front, limit, picked, chosen, done)
    front, _ = _front(pool, known, chosen)
    radius = 1 - float(known.best[front].min(initial=1.0))
    return Picked(
        picked,
        f"worst row at 1 - cosine = {radius:.4f}, no set of {count} below {radius / 4:.4f}",
    )


def _most_typical(pool: Pool) -> int:
    mean = pool.mean()
    return int(np.concatenate([block @ mean for _, block in pool.blocks()]).argmax())


def _front(pool: Pool, known: Known, chosen: Vectors) -> tuple[PositionArray, float]:
    """The farthest rows, updated, and a limit: `best` of every other row is not below it.

    Unless every row is chosen, the farthest of all is among them, the first of them if several
    are as far.
    """
    order = np.argsort(known.best, kind="stable")
    size = min(FRONT, len(pool) // SHARE + 1)
    enough = min(size // 2 + 1, len(pool) - len(chosen))
    for at in slices(len(pool), size):
        _refresh(pool, known, chosen, np.sort(order[at]))
        limit = known.best[order[at.stop]] if at.stop < len(pool) else np.inf
        looked_at = np.sort(order[: at.stop])
        front = looked_at[known.best[looked_at] < limit]
        if len(front) >= enough:
            break
    ranked = front[np.argsort(known.best[front], kind="stable")]
    if len(ranked) > size:
        limit = known.best[ranked[size]]
    return np.sort(ranked[:size]), float(limit)


def _refresh(pool: Pool, known: Known, chosen: Vectors, positions: PositionArray) -> None:
    """Update `best` and `seen` of these rows by the rows chosen since their last update."""
    stale = positions[known.seen[positions] < len(chosen)]
    for at in slices(len(stale), min(pool.block_rows, TILE // len(chosen))):
        new = chosen[known.seen[stale[at]].min() :]
        similarity = (pool.take(stale[at]) @ new.T).max(axis=1)
        known.best[stale[at]] = np.maximum(known.best[stale[at]], similarity)
    known.seen[stale] = len(chosen)


def _traverse(
    pool: Pool,
    known: Known,
    front: PositionArray,
    limit: float,
    picked: PositionArray,
    chosen: Vectors,
    done: int,
) -> int:
    """Pick from the front until a row outside may be as far; returns how many are picked."""
    rows, best = pool.take(front), known.best[front]
    farthest = int(best.argmin())
    while True:
        picked[done], chosen[done] = front[farthest], rows[farthest]
        done += 1
        np.maximum(best, rows @ rows[farthest], out=best)
        best[farthest] = np.inf
        farthest = int(best.argmin())
        if done == len(picked) or not best[farthest] < limit:
            break
    known.best[front], known.seen[front] = best, done
    return done
