"""Greedy growth and swap search for the k best of N: quick, and most often optimal.

Notation: as in `best_subset`; A starts of the search.
"""

import numpy as np

from prefopt_core.arrays import FloatArray, IndexArray


def by_swaps(shares: FloatArray, k: int, tolerance: float, size: int) -> tuple[list[int], float]:
    """Grow A sets greedily from the best pairs, improve each by best swaps, keep the best.

    Args:
        shares: (N, N), symmetric, zeros on the diagonal; the value of a set is its pairs' sum.
        k: Size of the sets, 2 <= k < N.
        tolerance: Swaps must gain more; sets that differ by no more are a tie.
        size: Most entries of the (A, k, N) array of swaps; so A = size // (k·N), at least 1.

    Returns:
        The set, ascending, and its value.
    """
    n = len(shares)
    pairs = np.column_stack(np.triu_indices(n, 1))
    best_first = np.argsort(-shares[pairs[:, 0], pairs[:, 1]], kind="stable")
    sets = pairs[best_first[: max(1, size // (k * n))]]
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
    return min(best.tolist()), float(values.max())


def _changes(sets: IndexArray, shares: FloatArray) -> FloatArray:
    """(A, k, N): change of F when candidate i replaces member p of set a."""
    held = shares[sets]
    gain = held.sum(axis=1)  # (A, N)
    loss = np.take_along_axis(gain, sets, axis=1)  # (A, k)
    change: FloatArray = gain[:, None, :] - loss[:, :, None] - held
    np.put_along_axis(
        change, np.broadcast_to(sets[:, None, :], (*sets.shape, sets.shape[1])), -np.inf, axis=2
    )
    return change


def smallest_equal(selected: list[int], shares: FloatArray, tolerance: float) -> list[int]:
    """Replace members by smaller indices while F falls by no more than `tolerance`."""
    while True:
        change = _changes(np.array([selected]), shares)[0]
        free = (change >= -tolerance) & (np.arange(len(shares)) < np.array(selected)[:, None])
        if not free.any():
            return selected
        out, added = divmod(int(free.argmax()), len(shares))
        selected = sorted([*selected[:out], *selected[out + 1 :], added])
