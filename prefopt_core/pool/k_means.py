"""k-means medoids: cut the pool into clusters, and label the most typical row of each.

Cheap, and a common baseline of active learning; worse than facility location at the same count.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from prefopt_core.pool.clustering import nearest_centroids, spherical_k_means
from prefopt_core.pool.points import Picked, Pool, require_count


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    *,
    iterations: Annotated[int, Field(ge=1)] = 20,
    per_pick: Annotated[int, Field(ge=1)] = 100,
) -> Picked:
    """Choose, in each of `count` spherical clusters, the row nearest to the centroid.

    Args:
        pool: n rows.
        count: How many to choose, 1 <= count <= n.
        rng: Draws the rows to learn from and the first centroids.
        iterations: Rounds of k-means.
        per_pick: Rows to learn from for each row chosen.

    Returns:
        The rows of the heaviest clusters first. Empty clusters are replaced by the rows farthest
        from their centroids.
    """
    require_count(count, len(pool))
    size = min(len(pool), per_pick * count)
    sampled = np.sort(rng.choice(len(pool), size=size, replace=False))
    points, weights = pool.take(sampled), pool.weights[sampled]
    centroids = spherical_k_means(points, weights, count, iterations, rng)
    home = np.empty(len(pool), dtype=np.int64)
    similarity = np.empty(len(pool), dtype=np.float32)
    for at, block in pool.blocks():
        nearest, cosines = nearest_centroids(block, centroids)
        home[at], similarity[at] = nearest[:, 0], cosines[:, 0]

    order = np.lexsort((-similarity, home))
    clusters, first = np.unique(home[order], return_index=True)
    mass = np.bincount(home, weights=pool.weights)[clusters]
    medoids = order[first][np.argsort(-mass, kind="stable")]
    left = np.setdiff1d(np.arange(len(pool)), medoids)
    farthest = left[np.argsort(similarity[left], kind="stable")]
    return Picked(np.concatenate([medoids, farthest])[:count])
