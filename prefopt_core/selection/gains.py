"""Gains of the labels of one prompt: the order to spend them in, and the worth of the first m.

Within a prompt, labels are spent in the order of `spending_order`, so each number of labels m
stands for one set, the first m of that order, and has one total worth h(m). One label alone makes
no pair: h starts at m = 2. `labels.budget.allocate` divides labels across prompts by these totals.

Notation: N candidates of a prompt, k of them selected, S_m the first m, w_ij the AEPO objective of
the pair {i, j}.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.best_subset import first_best

TIE = 1e-12  # totals that differ by less, relative to the largest, are equal


def spending_order(worth: FloatArray, selected: Sequence[int]) -> list[int]:
    """Order a selection greedily, so that its first m members are a good set for every m.

    The best pair comes first. Each next member is the one that keeps the objective of those
    taken so far highest, which is the one of the largest Σ w with them. Ties go to the smaller
    index.

    Args:
        worth: (N, N), see `aepo.pair_worth`.
        selected: k >= 2 distinct candidates, in any order.

    Returns:
        The same k candidates.

    >>> from prefopt_core.selection.aepo import pair_worth
    >>> u = np.array([[1, .9, .2, .1], [.9, 1, .3, .2], [.2, .3, 1, .4], [.1, .2, .4, 1]])
    >>> spending_order(pair_worth(u), [0, 1, 2, 3])
    [0, 3, 2, 1]
    """
    members = np.sort(np.asarray(selected))
    w = np.array(worth[np.ix_(members, members)], dtype=np.float64)
    np.fill_diagonal(w, -np.inf)
    tolerance = TIE * np.abs(w[np.isfinite(w)]).max()
    order = list(divmod(first_best(w.ravel(), tolerance), len(w)))
    together = w[:, order].sum(axis=1)  # (k,) Σ w with those taken; -inf for these themselves
    while len(order) < len(members):
        order.append(first_best(together, tolerance * len(order)))
        together += w[:, order[-1]]
    return members[order].tolist()


def objective_totals(worth: FloatArray, order: Sequence[int]) -> FloatArray:
    """What the first m labels are worth: m times the objective of the set they stand for.

        h(m) = m·f(S_m) = 2/(m-1) · Σ w_ij over the pairs of S_m

    The product, not f itself, because f is a mean over the set: it says how good a label of the
    set is, and m of them are bought.

    Args:
        worth: (N, N), see `aepo.pair_worth`.
        order: k candidates, see `spending_order`.

    Returns:
        (k - 1,) totals for m = 2, ..., k labels, in the units of the similarity.
    """
    pairs = np.tril(worth[np.ix_(order, order)], -1).sum(axis=1).cumsum()
    return 2 * pairs[1:] / np.arange(1, len(order))


def coverage_totals(
    similarity: npt.NDArray[np.floating],
    order: Sequence[int],
    counts: npt.NDArray[np.integer] | None = None,
) -> FloatArray:
    """What the first m labels are worth: how well they cover all samples (facility location).

        h(m) = Σ_i c_i · max over j∈S_m of u_ij / Σ_i c_i

    A prompt without labels is covered by nothing, which counts 0: every prompt gets its pair
    before any gets many.

    Args:
        similarity: (N, N), see `aepo.pair_worth`.
        order: k candidates, see `spending_order`.
        counts: (N,) c; None if all once.

    Returns:
        (k - 1,) totals for m = 2, ..., k labels, in the units of the similarity; ascending.
    """
    nearest = np.maximum.accumulate(np.asarray(similarity)[:, order], axis=1)[:, 1:]
    return np.average(nearest, axis=0, weights=counts)
