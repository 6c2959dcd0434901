"""The exact best pair of every prompt at once: the AEPO family at k = 2, on embeddings.

For unit rows e,

    r_j = (Σ_i c_i e_i·e_j - e_j·e_j) / (Σ_i c_i - 1)        w_ij = a·(r_i + r_j)/2 - b·e_i·e_j

so a batch costs one matrix product and few passes over it. It is computed in float32; where that
could decide between two pairs, it does not: such prompts are handed back for float64. Thus the
answer is the one of `aepo`, on any machine and for any size of batch.

Notation: B prompts, N distinct candidates each, d dimensions, c the counts.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prefopt_core.selection.aepo import check_weight

Single = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.intp]

SMALL = 40  # candidates


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
) -> tuple[IndexArray, npt.NDArray[np.bool_]]:
    """Find the pair of the largest w for every prompt.

    Args:
        embeddings: (B, N, d) finite, any length; N >= 2.
        counts: (B, N) how often each was sampled, at least once.
        a: Weight of representativeness.
        b: Weight of dissimilarity.

    Returns:
        (B, 2) indices, ascending, and (B,) whether another pair comes so close that rounding could
        decide; there the indices mean nothing.
    """
    _, n, d = embeddings.shape
    # NumPy has a routine for the product of a matrix with itself; for small ones it is slower.
    other = embeddings.copy() if n <= SMALL else embeddings
    worth = np.matmul(embeddings, other.transpose(0, 2, 1))  # (B, N, N)
    flat = worth.reshape(-1, n * n)  # a view; its every (N + 1)-th entry is on the diagonal
    length = np.sqrt(flat[:, :: n + 1])
    scale = np.divide(1, length, out=np.zeros_like(length), where=length > 0)
    half = _representativeness(worth, scale, counts) * np.float32(a / 2)
    worth *= scale[:, None, :]
    worth *= scale[:, :, None] * np.float32(-b)
    worth += half[:, :, None]
    flat[:, :: n + 1] = -np.inf
    best = worth.max(axis=1) + half  # (B, N): the worth of each one's best pair
    prompts = np.arange(len(best))
    second = best.argmax(axis=1)
    first = worth[prompts, :, second].argmax(axis=1)
    top = best[prompts, second]
    # Every other pair has an end outside this one, so it shows in what is left of `best`.
    best[prompts, first] = best[prompts, second] = -np.inf
    contested = best.max(axis=1) >= top - 2 * _rounding(n, d) * (a + b)
    return np.sort(np.column_stack([first, second])), contested


def _representativeness(products: Single, scale: Single, counts: npt.NDArray[np.integer]) -> Single:
    """Give r (B, N) from e_i·e_j of any length; `scale` (B, N) is 1 / length, 0 for zeros."""
    weights = (counts * scale).astype(np.float32)
    alike = np.matmul(products, weights[:, :, None])[:, :, 0] * scale
    own = scale > 0
    return (alike - own) / (counts.sum(axis=1, keepdims=True) - 1).astype(np.float32)


def _rounding(n: int, d: int) -> float:
    """A bound on the error of r_j and of e_i·e_j in float32, for sums in any order, lengths too."""
    return (n + 2 * d + 16) * 2.0**-24


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
        (B,) mean representativeness and (B,) redundancy, rounded to six decimals: below that, the
        order of summation, and so the machine, would show.
    """
    wide = embeddings.astype(np.float64)
    length = np.sqrt(np.einsum("bnd,bnd->bn", wide, wide))
    scale = 1 / np.where(length == 0, 1, length)
    total = np.matmul((counts * scale)[:, None, :], wide)[:, 0]  # (B, d)
    chosen = np.take_along_axis(wide, selected[:, :, None], axis=1)
    chosen *= np.take_along_axis(scale, selected, axis=1)[:, :, None]  # (B, k, d)
    k, together = selected.shape[1], chosen.sum(axis=1)
    own = np.einsum("bkd,bkd->b", chosen, chosen)
    alike = np.einsum("bd,bd->b", together, total)
    representative = (alike - own) / (k * (counts.sum(axis=1) - 1))
    redundant = (np.einsum("bd,bd->b", together, together) - own) / (k * (k - 1))
    return representative.round(6), redundant.round(6)
