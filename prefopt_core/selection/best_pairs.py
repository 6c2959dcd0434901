"""The exact best pair of every prompt at once: the AEPO family at k = 2, on embeddings.

For unit rows e,

    r_j = (Σ_i c_i e_i·e_j - e_j·e_j) / (Σ_i c_i - 1)        w_ij = a·(r_i + r_j)/2 - b·e_i·e_j

so a batch costs one matrix product and few passes over it. It is computed in float32; pairs so
close that rounding could decide between them are compared again in float64. The answer is that of
`aepo`, on any machine and for any size of batch.

Notation: B prompts, N distinct candidates each, d dimensions, c the counts.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import IndexArray
from prefopt_core.selection.aepo import TIE, check_weight
from prefopt_core.selection.best_subset import first_best
from prefopt_core.selection.similarity.embeddings import unit

Single = npt.NDArray[np.float32]

SMALL = 40  # N up to which NumPy's product of two matrices beats its product with itself


def _of_aepo(diversity_weight: float) -> tuple[float, float]:
    check_weight(diversity_weight)
    return 1.0, diversity_weight


PAIR_WEIGHTS: dict[str, Callable[..., tuple[float, float]]] = {
    "aepo": _of_aepo,
    "diverse": lambda: (0.0, 1.0),
    "representative": lambda: (1.0, 0.0),
}
"""Strategy → (a, b) of w, from the strategy's settings, for those whose pair is argmax w."""


def best_pairs(
    embeddings: Single, counts: npt.NDArray[np.integer], a: float, b: float
) -> IndexArray:
    """Find the pair of the largest w for every prompt.

    Args:
        embeddings: (B, N, d) finite, any length; N >= 2.
        counts: (B, N) how often each was sampled, at least once.
        a: Weight of representativeness.
        b: Weight of dissimilarity.

    Returns:
        (B, 2) indices, ascending; of equal pairs the first, as in `aepo`.
    """
    _, n, d = embeddings.shape
    u = _cosines(embeddings)
    own = u[:, range(n), range(n)] > 0.5  # e_j·e_j: 1, or 0 for a row of zeros
    alike = np.matmul(u, counts[:, :, None].astype(np.float32))[:, :, 0]
    r = (alike - own) / (counts.sum(axis=1, keepdims=True) - 1).astype(np.float32)
    half = r * np.float32(a / 2)  # a·r_j/2: w_ij = half_i + half_j - b·u_ij
    # cost_ij = u_ij - half_i/b, so w_ij = half_j - b·cost_ij. If b is 0, u is set to 0, b to 1.
    if b == 0:
        u[:] = 0
    cost = np.subtract(u, half[:, :, None] / np.float32(b or 1), out=u)
    cost[:, range(n), range(n)] = np.inf
    best = half - (b or 1) * cost.min(axis=1)  # (B, N): w of each candidate's best pair

    prompts, second = np.arange(len(best)), best.argmax(axis=1)
    first, top = cost[prompts, :, second].argmin(axis=1), best[prompts, second]
    pairs = np.sort(np.column_stack([first, second]))
    # Every other pair has a member outside this one, so the rest of `best` bounds its w. Where
    # rounding could have decided, all pairs that close to the top are compared in float64.
    best[prompts, first] = best[prompts, second] = -np.inf
    least = top - 2 * _rounding(n, d) * (a + b)
    for p in np.flatnonzero(best.max(axis=1) >= least).tolist():
        near = np.argwhere(half[p] - (b or 1) * cost[p] >= least[p])
        pairs[p] = _first_best(embeddings[p], counts[p], near[near[:, 0] < near[:, 1]], a, b)
    return pairs


def _cosines(embeddings: Single) -> Single:
    """u, (B, N, N); a row of zeros has cosine 0 with every row, itself included."""
    _, n, d = embeddings.shape
    if 4 * n > d:  # cheaper to normalise the rows than the products
        rows = embeddings * _inverse(np.einsum("bnd,bnd->bn", embeddings, embeddings))[:, :, None]
        return np.matmul(rows, rows.transpose(0, 2, 1))
    # NumPy has a routine for the product of a matrix with itself; for small ones it is slower.
    other = embeddings.copy() if n <= SMALL else embeddings
    products = np.matmul(embeddings, other.transpose(0, 2, 1))
    scale = _inverse(products[:, range(n), range(n)])
    products *= scale[:, None, :]
    products *= scale[:, :, None]
    return products


def _inverse(squares: Single) -> Single:
    """1 / √x, and 0 for 0."""
    return np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


def _rounding(n: int, d: int) -> float:
    """Bound on the float32 error of r_j and of e_i·e_j, normalisation included, in any order."""
    return (n + 3 * d + 24) * 2.0**-24


def _first_best(
    rows: Single, counts: npt.NDArray[np.integer], pairs: IndexArray, a: float, b: float
) -> IndexArray:
    """Decide in float64 between (P, 2) pairs of one prompt, listed in lexicographic order."""
    e = unit(rows.astype(np.float64))
    total = counts @ e
    ends = e[pairs]  # (P, 2, d)
    r = (ends @ total - (ends**2).sum(axis=2)) / (counts.sum() - 1)
    worth = a * r.mean(axis=1) - b * (ends[:, 0] * ends[:, 1]).sum(axis=1)
    return pairs[first_best(worth, TIE * (a + b))]


def parts(
    embeddings: Single, counts: npt.NDArray[np.integer], selected: IndexArray
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both parts of the AEPO objective of sets of any size k >= 2, in O(N·d) and float64.

        red(S) = (|Σ_{j∈S} e_j|² - Σ_{j∈S} |e_j|²) / (k·(k-1))

    Args:
        embeddings: (B, N, d), see `best_pairs`.
        counts: (B, N).
        selected: (B, k) indices.

    Returns:
        (B,) mean representativeness and (B,) redundancy, rounded to six decimals: further ones
        depend on the order of summation, and so on the machine.
    """
    wide = embeddings.astype(np.float64)
    length = np.sqrt(np.vecdot(wide, wide))
    scale = 1 / np.where(length == 0, 1, length)
    total = np.matmul((counts * scale)[:, None, :], wide)[:, 0]  # (B, d)
    chosen = wide[np.arange(len(wide))[:, None], selected]
    chosen *= np.take_along_axis(scale, selected, axis=1)[:, :, None]  # (B, k, d)
    k, together = selected.shape[1], chosen.sum(axis=1)
    own = np.einsum("bkd,bkd->b", chosen, chosen)
    alike = np.einsum("bd,bd->b", together, total)
    representative = (alike - own) / (k * (counts.sum(axis=1) - 1))
    redundant = (np.einsum("bd,bd->b", together, together) - own) / (k * (k - 1))
    return representative.round(6), redundant.round(6)
