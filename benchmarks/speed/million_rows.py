"""10⁶ rows in a memory-mapped file of float16: each step once, against parts of what FAISS does."""

import numpy as np
import numpy.typing as npt

from benchmarks.comparisons import Row, faster, figure
from benchmarks.speed import rivals
from benchmarks.speed.pool_steps import (
    COUNT,
    DUPLICATES,
    GRAPH,
    LISTS,
    LOCATION,
    THRESHOLD,
    K,
    Steps,
)
from benchmarks.speed.pools import kept, recall
from benchmarks.timing import Job, Time, once, race
from prefopt_core.pool.coverage import coverage
from prefopt_core.pool.facility_location import Sparse, greedy
from prefopt_core.pool.points import PositionArray

ASKED = 5_000  # queries to FAISS; their time is multiplied up
TRUE = 300  # queries compared with all rows, for the recall


def compare(steps: Steps) -> list[Row]:
    """Compare what `pool_steps.measure` did with FAISS and with the graph of all rows."""
    full, whole = _full(steps)
    n, ours = len(steps.pool), steps.times
    rows = [*_faiss(steps)]
    what = f"facility location, {n} rows, B = {COUNT}"
    assert steps.located is not None
    value, best = (coverage(steps.pool, x).value for x in (steps.located.positions, full))
    texts = f"{value:.4f}", f"{best:.4f}"
    against = "our own, graph of all rows, lists given"
    rows.append(faster(what, against, ours[LOCATION], whole, 15))
    met = value >= 0.99 * best
    rows.append(figure(f"{what}: value", *(texts[0], against, texts[1]), "≥ .99 of it", met))
    return rows


def _full(steps: Steps) -> tuple[PositionArray, Time]:
    """Facility location on the graph of the whole pool, which is given up for the next steps."""
    assert steps.graph is not None
    weights = steps.pool.weights
    columns, made = once(lambda: Sparse.of(*steps.graph))
    order, chosen = once(lambda: greedy(columns, weights, COUNT)[0])
    seconds = steps.times[GRAPH].seconds + made.seconds + chosen.seconds
    return order, Time(seconds, 1)


def _faiss(steps: Steps) -> list[Row]:
    ours, n = steps.times, len(steps.pool)
    assert steps.pool.nearest is not None
    assert steps.leader_of is not None
    assert steps.graph is not None
    lists, probes = int(steps.pool.nearest.max()) + 1, steps.pool.nearest.shape[1]
    inverted, trained = once(lambda: rivals.Inverted.of(steps.pool.vectors, lists, probes))
    at = np.random.default_rng(0).choice(n, size=ASKED, replace=False)
    queries, each = steps.pool.take(at), n / ASKED
    jobs = {
        "range": Job(lambda: inverted.pairs(queries, THRESHOLD), 1 / each, warm=False),
        "search": Job(lambda: inverted.neighbours(queries, K), 1 / each, warm=False),
    }
    times = race(jobs, 3)
    true = brute_force(steps, at[:TRUE])
    mine = recall(steps.graph[0][at[:TRUE]], true)
    theirs = recall(inverted.neighbours(queries[:TRUE], K), true)
    part = f"{ASKED} queries × {each:g}, extrapolated"
    twice, graph = f"near-duplicates, {n} rows", f"kNN graph, {n} rows, k = {K}"
    listed, joined = ours[LISTS], ours[DUPLICATES]
    searched = Time(trained.seconds + times["search"].seconds, 3)
    ranged = Time(trained.seconds + times["range"].seconds, 3)
    whole = Time(listed.seconds + ours[GRAPH].seconds, 1)
    leaders = Time(listed.seconds + joined.seconds, 1)
    return [
        faster(f"{twice}, lists included", f"FAISS IVF range search, {part}", leaders, ranged),
        faster(f"{twice}, lists given", f"FAISS IVF range search, {part}", joined, times["range"]),
        *kept(twice, steps.pool, steps.leader_of, ASKED // 5),
        faster(f"{graph}, lists included", f"FAISS IVF search, {part}", whole, searched, 4),
        faster(f"{graph}, lists given", f"FAISS IVF search, {part}", ours[GRAPH], times["search"]),
        figure(f"{graph}: recall", f"{mine:.3f}", "FAISS IVF search", f"{theirs:.3f}"),
    ]


def brute_force(steps: Steps, at: PositionArray) -> npt.NDArray[np.int64]:
    """(m, K) the true neighbours of some rows."""
    queries = steps.pool.take(at)
    best = np.full((len(at), K), -np.inf, dtype=np.float32)
    ids = np.full((len(at), K), -1, dtype=np.int64)
    for part, block in steps.pool.blocks():
        similarity = queries @ block.T
        own = np.flatnonzero((at >= part.start) & (at < part.stop))
        similarity[own, at[own] - part.start] = -np.inf
        both = np.concatenate([best, similarity], axis=1)
        numbers = np.broadcast_to(np.arange(part.start, part.stop), similarity.shape)
        all_ids = np.concatenate([ids, numbers], axis=1)
        top = np.argpartition(-both, K, axis=1)[:, :K]
        best = np.take_along_axis(both, top, axis=1)
        ids = np.take_along_axis(all_ids, top, axis=1)
    return ids
