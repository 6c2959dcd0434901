"""AEPO's search as its authors describe and published it, and the plain ways to find a pair.

Written from the description: greedy growth, then 20 random single swaps of which the better ones
are kept; each set is scored afresh. As such code is: plain Python over NumPy, a prompt at a time.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]
Score = Callable[[Matrix, list[int], float], float]
SWAPS = 20


def score(similarity: Matrix, chosen: list[int], weight: float) -> float:
    """The objective of a set; the diagonal of the matrix is zero."""
    n, k = len(similarity), len(chosen)
    representative = similarity[:, chosen].sum() / ((n - 1) * k)
    if k == 1:
        return float(representative)
    redundant = similarity[np.ix_(chosen, chosen)].sum() / (k * (k - 1))
    return float(representative - weight * redundant)


def score_by_loops(similarity: Matrix, chosen: list[int], weight: float) -> float:
    """The same, sum by sum as the formula stands."""
    n, k = len(similarity), len(chosen)
    shared = sum(similarity[i, j] for j in chosen for i in range(n) if i != j)
    if k == 1:
        return float(shared / (n - 1))
    inside = sum(similarity[i, j] for i in chosen for j in chosen if i != j)
    return float(shared / ((n - 1) * k) - weight * inside / (k * (k - 1)))


def published(
    similarity: Matrix,
    k: int,
    rng: np.random.Generator,
    weight: float = 1.0,
    score: Score = score,
) -> list[int]:
    """Grow a set greedily, then try random swaps."""
    n, chosen = len(similarity), list[int]()
    for _ in range(k):
        rest = [i for i in range(n) if i not in chosen]
        chosen.append(max(rest, key=lambda i: score(similarity, [*chosen, i], weight)))
    best = score(similarity, chosen, weight)
    for _ in range(SWAPS if k < n else 0):
        out = int(rng.integers(k))
        added = int(rng.choice([i for i in range(n) if i not in chosen]))
        tried = [*chosen[:out], added, *chosen[out + 1 :]]
        value = score(similarity, tried, weight)
        if value > best:
            chosen, best = tried, value
    return sorted(chosen)


def cosines(embeddings: Matrix) -> Matrix:
    """(N, N) with a diagonal of zeros."""
    rows = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, 0)
    return similarity


def greedy_pair(embeddings: Matrix) -> tuple[int, int]:
    """The most typical response and the one that goes best with it."""
    similarity = cosines(embeddings)
    typical = similarity.sum(axis=0) / (len(similarity) - 1)
    first = int(typical.argmax())
    worth = typical / 2 - similarity[first]
    worth[first] = -np.inf
    return first, int(worth.argmax())


def scanned_pair(embeddings: Matrix) -> tuple[int, int]:
    """The best of all pairs."""
    similarity = cosines(embeddings)
    typical = similarity.sum(axis=0) / (len(similarity) - 1)
    worth = (typical[:, None] + typical) / 2 - similarity
    np.fill_diagonal(worth, -np.inf)
    first, second = divmod(int(worth.argmax()), len(worth))
    return first, second
