"""Labels across prompts: how many responses of each prompt to annotate when the total is fixed.

Within a prompt, labels are spent in the order of `spending_order`, so each number of labels m
stands for one set, the first m of that order, and has one total worth h(m). One label alone makes
no pair: h starts at m = 2. Across prompts, `allocate` maximises

    Σ_p h_p(m_p)    subject to    Σ_p m_p <= B,    m_p = 0 or 2, 3, ..., K_p

a multiple-choice knapsack. Where every h is concave, taking the steepest step first is optimal
(Fox, "Discrete optimization via marginal analysis", 1966); other h are replaced by their least
concave majorant (Sinha and Zoltners, "The multiple-choice knapsack problem", 1979).

Notation: N candidates of a prompt, k of them selected, P prompts, K_p the most labels prompt p can
take and K the largest of these, B the budget, w_ij the AEPO objective of the pair {i, j}.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.selection.best_subset import first_best

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.intp]

TIE = 1e-12  # totals that differ by less, relative to the largest, are equal


def spending_order(worth: FloatArray, selected: Sequence[int]) -> list[int]:
    """Order a selection so that stopping early leaves the best pair, then the best of its kind.

    The best pair comes first. Each next member is the one that keeps the objective of what is
    taken so far highest, which is the one worth most together with them. Ties go to the smaller
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
    together = w[:, order].sum(axis=1)  # (k,) worth with those taken; -inf for these themselves
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


def allocate(totals: Sequence[FloatArray], budget: int) -> IndexArray:
    """Spend at most `budget` labels where they are worth most.

    Steps of the concave majorants are taken steepest first, while they fit; what is left over is
    spent by changes of one prompt, or of two that gain most by their steps, until none gains.
    Labels that would lower the total are not bought, so the budget may not be used up.

    Optimal where all h are concave, that is h(2)/2 >= h(3) - h(2) >= h(4) - h(3) >= ... Elsewhere
    it falls short of the optimum by less than the next step of one prompt's majorant. Ties go to
    the smaller prompt; O(P·K²) time.

    Args:
        totals: P arrays (K_p - 1,): worth of the first 2, ..., K_p labels of each prompt, as
            from `coverage_totals`; an empty one for a prompt that takes none.
        budget: B >= 0.

    Returns:
        (P,) labels, each 0 or 2, ..., K_p, with a sum of at most B.

    >>> allocate([np.array([0.4, 0.5]), np.array([0.3, 0.5]), np.array([0.1])], 5).tolist()
    [2, 3, 0]
    """
    if budget < 0:
        raise ConfigError(f"A budget of {budget} labels: it must be at least 0. Set `budget`.")
    if not totals:
        return np.zeros(0, dtype=np.intp)
    worth = _table(totals)
    prompt, length = _steps(worth)
    taken = length.cumsum() <= budget
    labels = np.bincount(prompt[taken], weights=length[taken], minlength=len(worth))
    return _improved(worth, labels.astype(np.intp), budget)


def _table(totals: Sequence[FloatArray]) -> FloatArray:
    """(P, K+1) the worth of m labels at column m; -inf where m cannot be."""
    sizes = np.array([len(of_prompt) for of_prompt in totals])
    values = np.concatenate([np.asarray(of_prompt, dtype=np.float64) for of_prompt in totals])
    if not np.isfinite(values).all():
        at = int(np.repeat(np.arange(len(sizes)), sizes)[~np.isfinite(values)][0])
        raise DataError(f"The totals of prompt {at} are {totals[at]}: they must be finite.")
    worth = np.full((len(sizes), max(2, sizes.max() + 1) + 1), -np.inf)
    worth[:, 0] = 0.0
    worth[:, 2:][np.arange(worth.shape[1] - 2) < sizes[:, None]] = values
    return worth


def _steps(worth: FloatArray) -> tuple[IndexArray, IndexArray]:
    """The rising steps of all majorants, steepest first: their prompts and their labels."""
    size = worth.shape[1]
    at = np.zeros(len(worth), dtype=np.intp)
    last = np.full(len(worth), np.inf)
    rows, found = np.arange(len(worth)), []
    while len(rows):
        ahead = np.arange(size) - at[rows, None]
        slopes = np.full(ahead.shape, -np.inf)
        rise = worth[rows] - worth[rows, at[rows]][:, None]
        np.divide(rise, ahead, out=slopes, where=ahead > 0)
        to = slopes.argmax(axis=1)  # the first of equals: short steps leave less over
        # A majorant's slopes fall; rounding must not bring a later step before an earlier one.
        slope = np.minimum(slopes[np.arange(len(rows)), to], last[rows])
        rows, to, slope = rows[slope > 0], to[slope > 0], slope[slope > 0]
        found.append((rows, to - at[rows], slope))
        at[rows], last[rows] = to, slope
    prompt, length, slope = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((prompt, -slope))  # stable: equal steps of a prompt stay in their order
    return prompt[order], length[order]


def _improved(worth: FloatArray, labels: IndexArray, budget: int) -> IndexArray:
    """Change one prompt, or two at once, as long as that gains something and fits."""
    size = worth.shape[1]
    # Labels added to one prompt: 0, 1, -1, 2, ..., so that of equal changes the smallest is first.
    steps = np.array(sorted(range(1 - size, size), key=lambda step: (abs(step), -step)))
    together = steps[:, None] + steps
    tolerance = TIE * np.abs(worth[np.isfinite(worth)]).max()
    padded = np.pad(worth, ((0, 0), (size, size)), constant_values=-np.inf)
    rows = np.arange(len(worth))
    while True:
        reached = padded[rows[:, None], labels[:, None] + size + steps]
        change = reached - worth[rows, labels][:, None]
        gain, who = change.max(axis=0), change.argmax(axis=0)
        who[0] = -1  # no change is nobody's
        apart = (who[:, None] != who) & (together <= budget - labels.sum())
        both = np.where(apart, gain[:, None] + gain, -np.inf)
        first, second = np.unravel_index(both.argmax(), both.shape)
        if both[first, second] <= tolerance:
            return labels
        for move in (first, second):
            if who[move] >= 0:
                labels[who[move]] += steps[move]
