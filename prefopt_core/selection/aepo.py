"""Representative and diverse subset selection: the selection step of AEPO.

Jinnai and Honda, "Annotation-Efficient Language Model Alignment via Diverse and Representative
Response Texts", arXiv:2405.13541.

Notation: N distinct candidates, k selected, S the selected set, u the (N, N) similarity matrix,
c the counts, λ the diversity weight, M a number of subsets scored at once.
"""

import math

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.selection.best_subset import best_subset
from prefopt_core.selection.candidates import Candidates, Found
from prefopt_core.selection.requirements import require_k

TIE = 1e-12  # objectives that differ by less, relative to the similarities, are equal


def representativeness(
    similarity: FloatArray, counts: npt.NDArray[np.integer] | None = None
) -> npt.NDArray[np.float64]:
    """Say how similar each candidate is to the other samples, on average.

        r_j = (Σ_i c_i u_ij - u_jj) / (Σ_i c_i - 1)

    A candidate is not compared with itself, but it is compared with its own repetitions.

    Args:
        similarity: (N, N), u[i, j] = similarity of candidate i to candidate j.
        counts: (N,) how often each candidate was sampled, at least once; None if all once.

    Returns:
        (N,) mean similarities, in the units of `similarity`.

    Raises:
        DataError: The similarity is no finite (N, N) matrix, or a count is below 1.
    """
    ones = np.ones(len(similarity), dtype=np.intp)
    counts = ones if counts is None else np.asarray(counts)
    if counts.shape != ones.shape or counts.min() < 1:
        raise DataError(f"Expected {len(ones)} counts of at least 1, one per candidate: {counts}.")
    u, own = _split(similarity)
    return (counts @ u + (counts - 1) * own) / (counts.sum() - 1)


def redundancy(similarity: FloatArray, subsets: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Say how similar the members of each subset are to each other, on average.

        red(S) = Σ_{i≠j∈S} u_ij / (k·(k-1))

    Args:
        similarity: (N, N), see `representativeness`; the diagonal is ignored.
        subsets: (M, k) candidate indices, distinct within a row, k >= 2.

    Returns:
        (M,) mean similarities, in the units of `similarity`.

    Raises:
        DataError: The similarity is no finite (N, N) matrix.
    """
    u, _ = _split(similarity)
    subsets = np.asarray(subsets)
    k = subsets.shape[1]
    return u[subsets[:, :, None], subsets[:, None, :]].sum(axis=(1, 2)) / (k * (k - 1))


def objective(
    similarity: FloatArray,
    subsets: npt.NDArray[np.intp],
    diversity_weight: float,
    counts: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float64]:
    """Score sets of candidates: representative of all samples, not redundant among themselves.

        f(S) = mean of r_j over j∈S   -   λ · red(S)

    The objective of arXiv:2405.13541 with each sum divided by its number of terms, so that λ
    does not depend on N, on k, or on the scale of u. The paper counts every sample; here a text
    that was sampled c times is one candidate of count c, so that no text is annotated twice.

    Args:
        similarity: (N, N), see `representativeness`. Need not be symmetric: u[i, j] counts for
            the selected j.
        subsets: (M, k) candidate indices, distinct within a row, k >= 2.
        diversity_weight: λ >= 0; at 0 only representativeness counts.
        counts: (N,) see `representativeness`.

    Returns:
        (M,) values of f, in the units of `similarity`; higher is better.
    """
    of_members = representativeness(similarity, counts)[np.asarray(subsets)]
    return of_members.mean(axis=1) - diversity_weight * redundancy(similarity, subsets)


def pair_worth(
    similarity: FloatArray,
    *,
    diversity_weight: float = 1.0,
    counts: npt.NDArray[np.integer] | None = None,
) -> npt.NDArray[np.float64]:
    """The AEPO objective of every pair, of which that of a larger set is the mean.

        w_ij = (r_i + r_j)/2 - λ·(u_ij + u_ji)/2

    Args:
        similarity: (N, N), see `objective`.
        diversity_weight: λ >= 0.
        counts: (N,) how often each candidate was sampled; None if all once.

    Returns:
        (N, N) float64, symmetric; the diagonal means nothing.

    Raises:
        DataError: The similarity is no finite (N, N) matrix, or a count is below 1.
    """
    u, _ = _split(similarity)
    r = representativeness(similarity, counts)
    return (r[:, None] + r) / 2 - diversity_weight * (u + u.T) / 2


def aepo(
    similarity: FloatArray,
    k: int,
    *,
    diversity_weight: float = 1.0,
    counts: npt.NDArray[np.integer] | None = None,
) -> list[int]:
    """Find the k candidates that maximise `objective`.

    Ties go to the lexicographically smallest indices, so the result depends on the arguments
    alone. `aepo_with_bound` also says how good it is.

    Args:
        similarity: (N, N), see `objective`; left unchanged.
        k: How many to select, 2 <= k <= N.
        diversity_weight: λ >= 0, see `objective`; the paper tries 0, 0.5, 1 and 2.
        counts: (N,) see `representativeness`.

    Returns:
        k indices, ascending.

    Raises:
        ConfigError: k is not within 2..N, or λ is negative or not finite.
        DataError: The similarity is no finite (N, N) matrix, or a count is below 1.

    >>> u = np.array([[1, .9, .2, .1], [.9, 1, .3, .2], [.2, .3, 1, .4], [.1, .2, .4, 1]])
    >>> aepo(u, k=2)
    [0, 3]
    """
    found = aepo_with_bound(similarity, k, diversity_weight=diversity_weight, counts=counts)
    return found.members


def aepo_with_bound(
    similarity: FloatArray,
    k: int,
    *,
    diversity_weight: float = 1.0,
    counts: npt.NDArray[np.integer] | None = None,
) -> Found:
    """Find what `aepo` does, with its objective and a bound that no other set exceeds.

    f(S) is the mean of f({i, j}) over the pairs of S, because each r_j is in k-1 of them: that
    is what `best_subset` searches, exactly for k = 2, for C(N, k) up to a million, and wherever
    else its proof ends in time.

    Raises:
        ConfigError: k is not within 2..N, or λ is negative or not finite.
        DataError: The similarity is no finite (N, N) matrix, or a count is below 1.
    """
    require_k(k, len(similarity))
    check_weight(diversity_weight)
    worth = pair_worth(similarity, diversity_weight=diversity_weight, counts=counts)
    largest = np.abs(similarity).max()  # bounds every mean of similarities
    tolerance = TIE * (1 + diversity_weight) * float(largest)
    return best_subset(worth, k, tolerance=tolerance)


def check_weight(diversity_weight: float) -> None:
    """Refuse a λ that is negative or not finite.

    Raises:
        ConfigError: It is.
    """
    if not (diversity_weight >= 0 and math.isfinite(diversity_weight)):
        raise ConfigError(
            f"The diversity weight is {diversity_weight}: it must be finite and at least 0. "
            "Set `selection.params.diversity_weight`, for example to 1.0."
        )


def _split(similarity: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A checked float64 copy whose diagonal is set to zero, and the diagonal it had."""
    u = np.array(similarity, dtype=np.float64)
    if u.ndim != 2 or u.shape[0] != u.shape[1]:
        raise DataError(f"A similarity matrix is (N, N), and this one is {u.shape}.")
    if not np.isfinite(u).all():
        i, j = np.argwhere(~np.isfinite(u))[0].tolist()
        raise DataError(
            f"similarity[{i}, {j}] is {u[i, j]}: every entry must be finite. "
            "Look at the embeddings of these two responses."
        )
    own = u.diagonal().copy()
    np.fill_diagonal(u, 0.0)
    return u, own


def select(
    candidates: Candidates, k: int, rng: np.random.Generator, *, diversity_weight: float = 1.0
) -> Found:
    """Choose k responses that stand for all samples and differ from each other (AEPO).

    Args:
        candidates: N distinct responses, compared.
        k: How many to choose, 2 <= k <= N.
        rng: Not used: no step draws.
        diversity_weight: λ >= 0, how much likeness among the chosen counts against their likeness
            to all samples. 0: only the latter, as `representative`; the paper tries 0, 0.5, 1 and
            2.
    """
    similarity, counts = candidates.similarity, candidates.counts
    return aepo_with_bound(similarity, k, diversity_weight=diversity_weight, counts=counts)
