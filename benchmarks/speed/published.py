"""AEPO's search as its authors describe and published it, and the plain ways to find a pair.

Written from the description. Grow a set greedily; then, 20 times, take out a random member and
put the best of all candidates in its place, which may be the same one; go back if the set is worse.
Each set is scored afresh, one after the other, with the divisors of the full size k throughout.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.floating]
Score = Callable[[Matrix, list[int], int, float], float]
ROUNDS = 20


def score_by_products(similarity: Matrix, chosen: list[int], k: int, weight: float) -> float:
    """The objective as the authors compute it: products of all of M with an indicator of the set.

    Each call copies the matrix, too, whose diagonal is zero here.
    """
    n, m, x = len(similarity), similarity.copy(), np.zeros(len(similarity))
    x[chosen] = 1
    return float(np.ones(n) @ m @ x / ((n - 1) * k) - weight * (x @ m @ x) / (k * (k - 1)))


def score_by_sums(similarity: Matrix, chosen: list[int], k: int, weight: float) -> float:
    """The same, kindly: only the entries that count are summed."""
    columns = similarity[:, chosen]
    shared = columns.sum() / ((len(similarity) - 1) * k)
    return float(shared - weight * columns[chosen].sum() / (k * (k - 1)))


def published(
    similarity: Matrix,
    k: int,
    rng: np.random.Generator,
    weight: float = 1.0,
    score: Score = score_by_products,
) -> list[int]:
    """Grow a set of k >= 2 greedily, then exchange random members for the best ones."""

    def value(members: list[int]) -> float:
        return score(similarity, members, k, weight)

    def grown(members: list[int]) -> list[int]:
        rest = [i for i in range(len(similarity)) if i not in members]
        return [*members, max(rest, key=lambda i: value([*members, i]))]

    chosen = list[int]()
    while len(chosen) < k:
        chosen = grown(chosen)
    for _ in range(ROUNDS):
        out = int(rng.integers(k))
        tried = grown(chosen[:out] + chosen[out + 1 :])
        if value(tried) >= value(chosen):
            chosen = tried
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
