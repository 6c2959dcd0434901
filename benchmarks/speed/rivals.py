"""How others do what `prefopt_core.pool` does: FAISS, apricot, kmedoids, submodlib, plain NumPy."""

import heapq
import importlib.util
from dataclasses import dataclass

import faiss
import numpy as np
import numpy.typing as npt

from prefopt_core.pool.lists import ITERATIONS, TRAINING_ROWS

Single = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]

SEED = 1


def there(library: str) -> bool:
    """Whether an optional library is installed."""
    return importlib.util.find_spec(library) is not None


@dataclass(frozen=True)
class Inverted:
    """A FAISS index with as many lists and probes as ours, learnt from as many rows."""

    index: faiss.IndexIVFFlat

    @classmethod
    def of(cls, vectors: npt.NDArray[np.floating], lists: int, probes: int) -> "Inverted":
        """Train and fill it."""
        d = vectors.shape[1]
        quantizer = faiss.IndexFlatIP(d)
        index = faiss.IndexIVFFlat(quantizer, d, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.spherical, index.cp.seed = ITERATIONS, True, SEED
        index.cp.min_points_per_centroid = 1
        index.cp.max_points_per_centroid = TRAINING_ROWS
        step = max(1, len(vectors) // (TRAINING_ROWS * lists))
        index.train(np.asarray(vectors[::step], dtype=np.float32))
        for start in range(0, len(vectors), 100_000):
            index.add(np.asarray(vectors[start : start + 100_000], dtype=np.float32))
        index.nprobe = probes
        return cls(index)

    def neighbours(self, queries: Single, k: int) -> IndexArray:
        """(m, k) the most similar others of rows that are in the index, without the first hit."""
        return self.index.search(queries, k + 1)[1][:, 1:]

    def pairs(self, queries: Single, threshold: float) -> int:
        """How many pairs reach the threshold, every row with itself among them."""
        return len(self.index.range_search(queries, threshold)[1])


def flat(vectors: Single) -> faiss.IndexFlatIP:
    """Brute force."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def k_means_medoids(vectors: Single, count: int, iterations: int = 20) -> IndexArray:
    """The row nearest to each centroid of FAISS's k-means."""
    d, settings = vectors.shape[1], {"min_points_per_centroid": 1}  # else it warns of few rows
    clustering = faiss.Kmeans(d, count, niter=iterations, spherical=True, seed=SEED, **settings)
    clustering.train(vectors)
    return np.unique(flat(vectors).search(clustering.centroids, 1)[1][:, 0])


def gonzalez(vectors: Single, count: int, first: int) -> IndexArray:
    """k-centre with one product of the whole matrix per pick."""
    best = np.full(len(vectors), -np.inf, dtype=np.float32)
    picked = np.full(count, first)
    for done in range(1, count):
        last = picked[done - 1]
        np.maximum(best, vectors @ vectors[last], out=best)
        best[last] = np.inf
        picked[done] = best.argmin()
    return picked


def lazy_greedy(vectors: Single, count: int) -> IndexArray:
    """Lazy greedy facility location in NumPy, as anyone would write it down."""
    similarity = np.maximum(vectors @ vectors.T, 0)
    best, picked = np.zeros(len(vectors), dtype=np.float32), list[int]()
    gains = [(-gain, j) for j, gain in enumerate(similarity.sum(axis=1).tolist())]
    heapq.heapify(gains)
    while len(picked) < count:
        _, j = heapq.heappop(gains)
        gain = float(np.maximum(similarity[j] - best, 0).sum())
        if gains and gain < -gains[0][0]:
            heapq.heappush(gains, (-gain, j))
        else:
            picked.append(j)
            np.maximum(best, similarity[j], out=best)
    return np.array(picked)


def apricot_location(vectors: Single, count: int) -> IndexArray:
    """Lazy greedy facility location, compiled by numba: the quickest of its optimizers here."""
    from apricot import FacilityLocationSelection

    similarity = np.maximum(vectors @ vectors.T, 0)
    greedy = FacilityLocationSelection(count, metric="precomputed", optimizer="lazy")
    return np.asarray(greedy.fit(similarity).ranking)


def faster_pam(vectors: Single, count: int) -> IndexArray:
    """k-medoids by swaps, from a random start."""
    import kmedoids

    return np.asarray(kmedoids.fasterpam(1 - vectors @ vectors.T, count, random_state=0).medoids)


def submodlib_location(vectors: Single, count: int) -> IndexArray:
    """Lazy greedy facility location in C++."""
    from submodlib import FacilityLocationFunction

    similarity = np.maximum(vectors @ vectors.T, 0)
    function = FacilityLocationFunction(
        n=len(vectors), mode="dense", sijs=similarity, separate_rep=False
    )
    picked = function.maximize(budget=count, optimizer="LazyGreedy", show_progress=False)
    return np.array([int(row) for row, _ in picked])
