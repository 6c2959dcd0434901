"""The k of N candidates whose pairs are worth most: the search behind the AEPO family.

Every objective of the family is a mean over the pairs inside the selected set S,

    F(S) = mean of w_ij over i,j∈S, i≠j

so the search sees one matrix and knows nothing of similarities.

Notation: N candidates, k selected, w the (N, N) symmetric worth of pairs, M sets at once,
A starts of the heuristic search.
"""

from collections.abc import Iterator
from math import comb

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]
IndexArray = npt.NDArray[np.intp]

BLOCK = 2**18  # sets that exist at once while enumerating: some 20 MB at k = 4
CLIMB = 2**20  # A·k·N, the numbers that the swap search holds at once: 8 MB


def best_subset(
    worth: FloatArray, k: int, *, tolerance: float, max_subsets: int = 1_000_000
) -> list[int]:
    """Find the k indices of the largest F; of equally good sets, the lexicographically smallest.

    Exact for k = 2 by a scan of w, and while C(N, k) <= `max_subsets` by enumeration. Beyond
    that, sets grown greedily from each of the best pairs are improved by best swaps until no swap
    helps, and the best of them is returned; ties are then sought one swap away. No step draws a
    random number.

    Args:
        worth: (N, N), symmetric; the diagonal is ignored.
        k: How many to select, 2 <= k <= N.
        tolerance: Values of F that differ by no more are a tie, so that rounding does not decide.
        max_subsets: Largest number of sets to enumerate.

    Returns:
        k indices, ascending.
    """
    n = len(worth)
    shares = worth / comb(k, 2)  # F is the sum of the shares of S's pairs
    np.fill_diagonal(shares, 0.0)
    if k == n:
        return list(range(n))
    if k == 2:
        np.fill_diagonal(shares, -np.inf)  # row by row, (i, j) comes before (j, i)
        return list(divmod(first_best(shares.ravel(), tolerance), n))
    if comb(n, k) <= max_subsets:
        return _by_enumeration(shares, k, tolerance)
    return _by_swaps(shares, k, tolerance)


def first_best(values: FloatArray, tolerance: float) -> int:
    """The first position of a value within `tolerance` of the largest.

    >>> first_best(np.array([0.0, 1.0, 1.0 + 1e-15]), 1e-12)
    1
    """
    return int((values >= values.max() - tolerance).argmax())


def _by_enumeration(shares: FloatArray, k: int, tolerance: float) -> list[int]:
    """Look at every set, or at what every set leaves out if that is less.

    With C the complement of S, and the sums over pairs i<j,

        F(S) = F(all) - Σ_{i∈C} Σ_j shares_ij + Σ_{i<j∈C} shares_ij

    and the lexicographically smallest S leaves out the largest C, so C is walked backwards.
    """
    n = len(shares)
    outside = n - k < k
    alone = -shares.sum(axis=0) if outside else np.zeros(n)
    best, best_value = np.arange(0), -np.inf
    for sets, values in _blocks(alone, shares, n - k if outside else k, backwards=outside):
        if values.max() > best_value + tolerance:
            best, best_value = sets[first_best(values, tolerance)], values.max()
    return (np.delete(np.arange(n), best) if outside else best).tolist()


def _blocks(
    alone: FloatArray, shares: FloatArray, k: int, *, backwards: bool
) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Yield all k-sets in lexicographic order, (M, k), and their values (M,), block by block.

    The value of a set is the sum of `alone` over its members and of `shares` over its pairs.
    """
    n = len(alone)
    block = max(1, BLOCK // n)
    waiting = [(np.arange(n - k + 1)[:, None], alone[: n - k + 1])]  # depth first: a stack
    while waiting:
        sets, values = waiting.pop()
        if sets.shape[1] == k:
            yield (sets[::-1], values[::-1]) if backwards else (sets, values)
            continue
        sets, values = _grow(sets, values, alone, shares, k)
        parts = [(sets[i : i + block], values[i : i + block]) for i in range(0, len(sets), block)]
        waiting += parts if backwards else parts[::-1]


def _grow(
    sets: IndexArray, values: FloatArray, alone: FloatArray, shares: FloatArray, k: int
) -> tuple[IndexArray, FloatArray]:
    """Add one larger member to every set, in every way that leaves enough for k members."""
    size, last = sets.shape[1], sets[:, -1]
    ways = len(alone) - k + size - last
    parents = np.repeat(np.arange(len(sets)), ways)
    first = np.cumsum(ways) - ways  # where the children of each set begin
    added = np.arange(len(parents)) - (first - last - 1)[parents]
    grown = np.column_stack([sets[parents], added])
    values = values[parents] + alone[added]
    for member in range(size):
        values += shares[grown[:, member], added]
    return grown, values


def _by_swaps(shares: FloatArray, k: int, tolerance: float) -> list[int]:
    """Grow sets from the best pairs, climb from all of them at once, keep the best."""
    n = len(shares)
    pairs = np.column_stack(np.triu_indices(n, 1))
    best_first = np.argsort(-shares[pairs[:, 0], pairs[:, 1]], kind="stable")
    sets = pairs[best_first[: max(1, CLIMB // (k * n))]]
    while sets.shape[1] < k:
        gain = shares[sets].sum(axis=1)  # (A, N): what each candidate would add
        np.put_along_axis(gain, sets, -np.inf, axis=1)
        sets = np.column_stack([sets, gain.argmax(axis=1)])

    climbing = np.arange(len(sets))
    while len(climbing):
        change = _changes(sets[climbing], shares).reshape(len(climbing), -1)
        better = change.max(axis=1) > tolerance
        climbing, change = climbing[better], change[better]
        out, added = np.divmod(change.argmax(axis=1), n)
        sets[climbing, out] = added

    values = shares[sets[:, :, None], sets[:, None, :]].sum(axis=(1, 2)) / 2
    best = np.sort(sets[values >= values.max() - tolerance])
    return _smallest_equal(min(best.tolist()), shares, tolerance)


def _changes(sets: IndexArray, shares: FloatArray) -> FloatArray:
    """(A, k, N): what F changes by when member p of set a makes room for candidate i."""
    held = shares[sets]
    gain = held.sum(axis=1)  # (A, N)
    loss = np.take_along_axis(gain, sets, axis=1)  # (A, k)
    change: FloatArray = gain[:, None, :] - loss[:, :, None] - held
    np.put_along_axis(
        change, np.broadcast_to(sets[:, None, :], (*sets.shape, sets.shape[1])), -np.inf, axis=2
    )
    return change


def _smallest_equal(selected: list[int], shares: FloatArray, tolerance: float) -> list[int]:
    """Swap members for smaller indices as long as that costs nothing."""
    while True:
        change = _changes(np.array([selected]), shares)[0]
        free = (change >= -tolerance) & (np.arange(len(shares)) < np.array(selected)[:, None])
        if not free.any():
            return selected
        out, added = divmod(int(free.argmax()), len(shares))
        selected = sorted([*selected[:out], *selected[out + 1 :], added])
