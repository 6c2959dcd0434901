"""Spherical k-means by FAISS, and the centroids nearest to a row.

Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data Using Clustering" (2001).

Notation: n rows of d dimensions, L centroids.
"""

import numpy as np

from prefopt_core.pool.points import FloatArray, IndexArray, Vectors, slices

TILE = 2**22  # similarities that exist at once: 16 MB


def spherical_k_means(
    points: Vectors, weights: FloatArray, count: int, iterations: int, rng: np.random.Generator
) -> Vectors:
    """Find `count` directions such that every row is near one of them.

    Args:
        points: (n, d), unit rows.
        weights: (n,) how much each row counts, > 0.
        count: L, 1 <= L <= n.
        iterations: Rounds of assigning and averaging.
        rng: Draws the seed of the rows to start from.

    Returns:
        (L, d) float32, unit rows.
    """
    import faiss  # loads a library of its own: not before it is needed

    clustering = faiss.Kmeans(
        points.shape[1],
        count,
        niter=iterations,
        spherical=True,
        seed=int(rng.integers(2**31)),
        min_points_per_centroid=1,  # neither advice on standard error nor a sample of the sample
        max_points_per_centroid=len(points),
    )
    clustering.train(np.ascontiguousarray(points), weights=weights.astype(np.float32))
    return np.asarray(clustering.centroids)


def nearest_centroids(
    points: Vectors, centroids: Vectors, probes: int = 1
) -> tuple[IndexArray, Vectors]:
    """Find the centroids most similar to each row; of equal ones, the lowest numbered.

    Args:
        points: (n, d).
        centroids: (L, d).
        probes: How many to find, 1 <= probes <= L.

    Returns:
        (n, probes) their numbers, the nearest first, and (n,) the cosine to the nearest.
    """
    nearest = np.empty((len(points), probes), dtype=np.int64)
    best = np.empty(len(points), dtype=np.float32)
    for at in slices(len(points), TILE // len(centroids)):
        similarity = points[at] @ centroids.T
        each = np.arange(len(similarity))
        for probe in range(probes):
            column = similarity.argmax(axis=1)
            if probe == 0:
                best[at] = similarity[each, column]
            nearest[at, probe] = column
            similarity[each, column] = -np.inf
    return nearest, best
