"""Spherical k-means by FAISS, flat or in two levels, and the centroids nearest to a row.

Dhillon and Modha, "Concept Decompositions for Large Sparse Text Data Using Clustering" (2001).

Notation: n rows of d dimensions, L centroids.
"""

import math
from dataclasses import dataclass

import numpy as np

from prefopt_core.arrays import FloatArray
from prefopt_core.pool.points import PositionArray, Vectors, slices

TILE = 2**22  # similarities that exist at once: 16 MB
VISITS = 4  # groups of a `Tree` in which a row's nearest centroids are sought, at least


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
    import faiss  # imported on use: it loads a native library

    clustering = faiss.Kmeans(
        points.shape[1],
        count,
        niter=iterations,
        spherical=True,
        seed=int(rng.integers(2**31)),
        # No warning about small clusters on standard error, and all points: they are a sample.
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )
    clustering.train(np.ascontiguousarray(points), weights=weights.astype(np.float32))
    return np.asarray(clustering.centroids)


def nearest_centroids(
    points: Vectors, centroids: Vectors, probes: int = 1
) -> tuple[PositionArray, Vectors]:
    """Find the centroids most similar to each row; of equal ones, the lowest numbered.

    Args:
        points: (n, d).
        centroids: (L, d).
        probes: How many to find, 1 <= probes <= L.

    Returns:
        (n, probes) their numbers, the nearest first, and (n, probes) the cosines to them.
    """
    nearest = np.empty((len(points), probes), dtype=np.int64)
    cosines = np.empty((len(points), probes), dtype=np.float32)
    for at in slices(len(points), TILE // len(centroids)):
        similarity = points[at] @ centroids.T
        each = np.arange(len(similarity))
        for probe in range(probes):
            column = similarity.argmax(axis=1)
            nearest[at, probe] = column
            cosines[at, probe] = similarity[each, column]
            similarity[each, column] = -np.inf
    return nearest, cosines


@dataclass(frozen=True, eq=False)
class Tree:
    """Centroids in two levels, groups and members: a row is compared with a few groups only.

    Attributes:
        groups: (G, d) the centroids of the groups.
        members: For each group its centroids, (L_g, d); numbered consecutively, group after group.
    """

    groups: Vectors
    members: list[Vectors]

    @classmethod
    def grow(
        cls,
        points: Vectors,
        weights: FloatArray,
        count: int,
        iterations: int,
        rng: np.random.Generator,
    ) -> "Tree":
        """Cluster into some √L groups, and each of these into its share of the L centroids."""
        groups = spherical_k_means(points, weights, math.isqrt(count), iterations, rng)
        home = nearest_centroids(points, groups)[0][:, 0]
        filled, members = [], []
        for group in np.unique(home).tolist():
            of_group = np.flatnonzero(home == group)
            share = max(1, round(count * len(of_group) / len(points)))
            rows = points[of_group], weights[of_group]
            members.append(spherical_k_means(*rows, share, iterations, rng))
            filled.append(group)
        return cls(groups[filled], members)

    def nearest(self, points: Vectors, probes: int) -> PositionArray:
        """(n, probes) the numbers of nearby centroids, sought in the nearest `VISITS` groups."""
        visits = min(max(VISITS, probes), len(self.groups))  # each has at least one centroid
        visited, _ = nearest_centroids(points, self.groups, visits)
        numbers = np.full((len(points), visits, probes), -1)
        cosines = np.full((len(points), visits, probes), -np.inf, dtype=np.float32)
        first = 0
        for group, centroids in enumerate(self.members):
            rows, visit = np.nonzero(visited == group)
            near = nearest_centroids(points[rows], centroids, min(probes, len(centroids)))
            numbers[rows, visit, : near[0].shape[1]] = near[0] + first
            cosines[rows, visit, : near[0].shape[1]] = near[1]
            first += len(centroids)
        order = np.argsort(-cosines.reshape(len(points), -1), axis=1, kind="stable")[:, :probes]
        return np.take_along_axis(numbers.reshape(len(points), -1), order, axis=1)
