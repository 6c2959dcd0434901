"""The pool strategies against FAISS, apricot, kmedoids, submodlib and plain NumPy."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from benchmarks.comparisons import Row, faster, figure, missing
from benchmarks.speed import rivals
from benchmarks.speed.embeddings import D, pool
from benchmarks.speed.pool_steps import COUNT, THRESHOLD, K
from benchmarks.timing import Job, Kept, Time, once, race, threads
from prefopt_core.pool import Pool, coreset, facility_location
from prefopt_core.pool.coverage import coverage
from prefopt_core.pool.facility_location import Dense, Sparse, greedy
from prefopt_core.pool.lists import nearest_lists
from prefopt_core.pool.near_duplicates import leaders
from prefopt_core.pool.neighbours import neighbours
from prefopt_core.pool.points import ListArray, PositionArray

Single = npt.NDArray[np.float32]

ASKED = 1000  # queries to brute force; their time is multiplied up


def section(quick: bool, workers: int) -> list[Row]:
    """Compare on a pool in memory: 10⁵ rows, or 10⁴ if it must be quick."""
    vectors = _made(10_000 if quick else 100_000)
    rounds = 1 if quick else 2
    with threads(workers):
        rows = duplicates(vectors, rounds)
        rows += graph(vectors, rounds)
        rows += location(vectors, 100 if quick else COUNT, rounds)
        rows += dense(_made(2_000 if quick else 10_000), 100 if quick else 500, rounds)
        rows += centres(vectors, 500 if quick else 5_000)
    return rows


def small(quick: bool, workers: int) -> list[Row]:
    """Compare on 10⁴ rows, which is what most pools have; no goal was set for these."""
    vectors, rounds = _made(2_000 if quick else 10_000), 3
    with threads(workers):
        rows = duplicates(vectors, rounds)
        rows += graph(vectors, rounds)
        rows += location(vectors, 100, rounds)
        rows += plain(vectors, 100, rounds)
        rows += centres(vectors, 1_000)
    return [replace(row, target="", reached="") for row in rows]


def _made(n: int) -> Single:
    vectors = np.empty((n, D), dtype=np.float32)
    pool(n, np.random.default_rng(n), vectors)
    return vectors


def duplicates(vectors: Single, rounds: int) -> list[Row]:
    """Rows that nearly repeat others."""
    ours, nearest = Pool.whole(vectors), _lists(vectors)
    lists, probes = int(nearest.max()) + 1, nearest.shape[1]
    index = rivals.Inverted.of(vectors, lists, probes)
    flat, some, each = rivals.flat(vectors), vectors[:ASKED], len(vectors) / ASKED
    jobs = {
        "lists": Job(lambda: _lists(vectors), warm=False),
        "trained": Job(lambda: rivals.Inverted.of(vectors, lists, probes), warm=False),
        "ours": Job(found := Kept(lambda: leaders(ours, nearest, THRESHOLD)), warm=False),
        "ivf": Job(lambda: index.pairs(vectors, THRESHOLD), warm=False),
        "flat": Job(lambda: flat.range_search(some, THRESHOLD), 1 / each, warm=False),
    }
    times = race(jobs, rounds)
    whole, theirs = _sum(times["lists"], times["ours"]), _sum(times["trained"], times["ivf"])
    what = f"near-duplicates, {len(vectors)} rows, τ = {THRESHOLD}"
    part = f"FAISS flat range search, {ASKED} queries × {each:g}, extrapolated"
    return [
        faster(f"{what}, lists included", "FAISS IVF range search", whole, theirs, 3),
        faster(f"{what}, lists given", "FAISS IVF range search", times["ours"], times["ivf"]),
        faster(f"{what}, lists included", part, whole, times["flat"], 25),
        *kept(what, ours, found.result),
    ]


def kept(what: str, whole: Pool, leader_of: PositionArray, most: int = 4000) -> list[Row]:
    """Whether what is left has no near-duplicates, and what is gone had a reason to go."""
    left = np.unique(leader_of)
    gone = np.flatnonzero(leader_of != np.arange(len(leader_of)))
    cosine = np.einsum("ij,ij->i", whole.take(gone), whole.take(leader_of[gone]))
    wrong = int((cosine < THRESHOLD - 1e-6).sum())
    asked = np.random.default_rng(0).choice(left, size=min(len(left), most), replace=False)
    rows, alike = whole.take(asked), np.zeros(len(asked), dtype=np.intp)
    for _, block in whole.subset(left).blocks():
        alike += ((rows @ block.T) >= THRESHOLD).sum(axis=1)
    residual = float((alike > 1).mean())
    seen = f"{residual:.2%} of {len(asked)} kept rows"
    return [
        figure(f"{what}: removed", f"{len(gone)} of {len(leader_of)}"),
        figure(f"{what}: kept, with another one kept", seen, "", "", "≤ 0.2 %", residual <= 0.002),
        figure(f"{what}: removed without a reason", str(wrong), "", "", "0", wrong == 0),
    ]


def graph(vectors: Single, rounds: int) -> list[Row]:
    """The nearest neighbours of every row."""
    ours, nearest = Pool.whole(vectors), _lists(vectors)
    lists, probes = int(nearest.max()) + 1, nearest.shape[1]
    index = rivals.Inverted.of(vectors, lists, probes)
    flat, some, each = rivals.flat(vectors), vectors[:ASKED], len(vectors) / ASKED
    jobs = {
        "lists": Job(lambda: _lists(vectors), warm=False),
        "trained": Job(lambda: rivals.Inverted.of(vectors, lists, probes), warm=False),
        "ours": Job(mine := Kept(lambda: neighbours(ours, nearest, K)), warm=False),
        "ivf": Job(lambda: index.neighbours(vectors, K), warm=False),
        "flat": Job(exact := Kept(lambda: flat.search(some, K + 1)), 1 / each, warm=False),
    }
    times = race(jobs, rounds)
    whole, theirs = _sum(times["lists"], times["ours"]), _sum(times["trained"], times["ivf"])
    what, against = f"kNN graph, {len(vectors)} rows, k = {K}", "FAISS IVF search, same probes"
    brute = f"FAISS brute force, {ASKED} queries × {each:g}, extrapolated"
    true = exact.result[1][:, 1:]
    found = mine.result[0][:ASKED], index.neighbours(some, K)
    ours_recall, their_recall = (recall(ids, true) for ids in found)
    return [
        faster(f"{what}, lists included", against, whole, theirs, 2.5),
        faster(f"{what}, lists given", against, times["ours"], times["ivf"]),
        faster(f"{what}, lists included", brute, whole, times["flat"]),
        figure(f"{what}: recall", f"{ours_recall:.3f}", against, f"{their_recall:.3f}"),
    ]


def recall(found: ListArray, true: npt.NDArray[np.integer]) -> float:
    """The share of true neighbours that were found."""
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, true, strict=True)]
    return float(np.mean(hits)) / true.shape[1]


def location(vectors: Single, count: int, rounds: int) -> list[Row]:
    """Rows that stand for the pool, against the medoids of k-means."""
    ours = Pool.whole(vectors)
    jobs = {
        "ours": Job(mine := Kept(lambda: _located(ours, count)), warm=False),
    }
    others = {n: Kept(partial(rivals.k_means_medoids, vectors, count, n)) for n in (20, 5)}
    jobs |= {f"{n} iterations": Job(call, warm=False) for n, call in others.items()}
    times = race(jobs, rounds)
    value = coverage(ours, mine.result).value
    what, rows = f"facility location, {len(vectors)} rows, B = {count}", list[Row]()
    for n, call in others.items():
        against, medoids = f"FAISS k-means, {n} iterations, medoids", coverage(ours, call.result)
        goal = 2.5 if n == 20 else None
        rows.append(faster(what, against, times["ours"], times[f"{n} iterations"], goal))
        texts = f"{value:.4f}", against, f"{medoids.value:.4f}"
        better = value >= medoids.value + 0.02
        rows.append(figure(f"{what}: value", *texts, "≥ + .02", better))
    chance = np.random.default_rng(0).permutation(len(vectors))[:count]
    at_random = f"{coverage(ours, chance).value:.4f}"
    rows.append(figure(f"{what}: value", f"{value:.4f}", "random", at_random))
    return rows


def plain(vectors: Single, count: int, rounds: int) -> list[Row]:
    """The same against what anyone would write in ten lines, over all pairs."""
    ours = Pool.whole(vectors)
    against, what = "lazy greedy in NumPy", f"facility location, {len(vectors)} rows, B = {count}"
    jobs = {
        "ours": Job(mine := Kept(lambda: _located(ours, count)), warm=False),
        "theirs": Job(made := Kept(lambda: rivals.lazy_greedy(vectors, count)), warm=False),
    }
    times = race(jobs, rounds)
    texts = [f"{coverage(ours, call.result).value:.4f}" for call in (mine, made)]
    return [
        faster(what, against, times["ours"], times["theirs"]),
        figure(f"{what}: value", texts[0], against, texts[1]),
    ]


def dense(vectors: Single, count: int, rounds: int) -> list[Row]:
    """The same on few rows, where all pairs are known, against libraries made for it."""
    ours = Pool.whole(vectors)
    what = f"facility location, {len(vectors)} rows, B = {count}"
    rows = [_sparse(what, ours, count), *plain(vectors, count, rounds)]
    for library, package, name, call, least, near in _LIBRARIES:
        if not rivals.there(library):
            rows.append(missing(what, package))
            continue
        jobs = {
            "ours": Job(mine := Kept(lambda: _located(ours, count)), warm=False),
            "theirs": Job(made := Kept(partial(call, vectors, count)), warm=library == "apricot"),
        }
        times = race(jobs, rounds + 1)
        value, other = (coverage(ours, x.result).value for x in (mine, made))
        rows.append(faster(what, name, times["ours"], times["theirs"], least))
        texts, met = (f"{value:.4f}", name, f"{other:.4f}"), value >= near * other
        rows.append(figure(f"{what}: value", *texts, f"≥ {near} of it", met))
    return rows


_LIBRARIES: list[
    tuple[str, str, str, Callable[[Single, int], PositionArray], float | None, float]
] = [
    ("apricot", "apricot-select", "apricot, lazy", rivals.apricot_location, 10, 0.99),
    ("kmedoids", "kmedoids", "kmedoids, FasterPAM", rivals.faster_pam, 15, 0.98),
    ("submodlib", "submodlib-py", "submodlib, lazy", rivals.submodlib_location, None, 0.99),
]


def _sparse(what: str, ours: Pool, count: int) -> Row:
    """What keeping only the nearest neighbours costs."""
    everything = ours.take(np.arange(len(ours)))
    order = greedy(Dense(everything @ everything.T), ours.weights, count)[0]
    nearest = nearest_lists(ours, np.random.default_rng(0), lists=int(len(ours) ** 0.5))
    columns = Sparse.of(*neighbours(ours, nearest, K))
    kept = greedy(columns, ours.weights, count)[0]
    best, value = (coverage(ours, rows).value for rows in (order, kept))
    near = value >= 0.99 * best
    label = f"{what}, {K} neighbours only: value"
    return figure(label, f"{value:.4f}", "all pairs", f"{best:.4f}", "≥ .99 of it", near)


def centres(vectors: Single, count: int) -> list[Row]:
    """Rows such that none is far, against the plain method."""
    ours = Pool.whole(vectors)
    picked, mine = once(lambda: coreset.select(ours, count, np.random.default_rng(0)).positions)
    other, theirs = once(lambda: rivals.gonzalez(vectors, count, int(picked[0])))
    what, plain = f"k-centre, {len(vectors)} rows, B = {count}", "matrix-vector Gonzalez"
    radius, theirs_radius = (coverage(ours, rows).radius for rows in (picked, other))
    same = int((picked == other).sum())
    texts, met = (f"{radius:.5f}", f"{theirs_radius:.5f}"), radius <= theirs_radius + 1e-5
    return [
        faster(what, plain, mine, theirs, 10),
        figure(f"{what}: radius", texts[0], plain, texts[1], "equal", met),
        figure(f"{what}: same picks in the same order", f"{same} of {count}"),
    ]


def _lists(vectors: Single) -> ListArray:
    return nearest_lists(Pool.whole(vectors), np.random.default_rng(0))


def _located(ours: Pool, count: int) -> PositionArray:
    return facility_location.select(ours, count, np.random.default_rng(0)).positions


def _sum(first: Time, second: Time) -> Time:
    return Time(first.seconds + second.seconds, first.rounds)
