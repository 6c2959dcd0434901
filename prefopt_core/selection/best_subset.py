"""The k of N candidates whose pairs are worth most: the search behind the AEPO family.

Every objective of the family is a mean over the pairs inside the selected set S,

    F(S) = mean of w_ij over i,j∈S, i≠j

so the search sees one matrix and knows nothing of similarities.

Notation: N candidates, k selected, w the (N, N) symmetric worth of pairs, M sets at once.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray, IndexArray
from prefopt_core.selection.candidates import Found
from prefopt_core.selection.swaps import by_swaps, smallest_equal

BLOCK = 2**18  # M·N², the numbers at most made of M sets while branching: 2 MB
ALWAYS = 1_000_000  # C(N, k) up to which the search is carried to its end
EFFORT = 2**23  # numbers looked at while branching before a proof is given up: some 0.1 s
FIRST, AGAIN = 2**15, 2**20  # numbers held at once by the swap search: before, and without proof


def best_subset(worth: FloatArray, k: int, *, tolerance: float) -> Found:
    """Find the k indices of the largest F; of equally good sets, the lexicographically smallest.

    Exact for k = 2 by a scan of w. Otherwise sets grown greedily from the best pairs are improved
    by best swaps, and the best of them prunes an exhaustive search, branch and bound: exact when
    that ends, as it always may for C(N, k) <= `ALWAYS` and often does far beyond. When its effort
    is spent, many more starts are swapped, ties are sought one swap away, and the bound says what
    the search could not rule out. No step draws a random number.

    Args:
        worth: (N, N), symmetric; the diagonal is ignored.
        k: How many to select, 2 <= k <= N.
        tolerance: Values of F that differ by no more are a tie, so that rounding does not decide.
    """
    n = len(worth)
    shares = worth / comb(k, 2)  # F is the sum of the shares of S's pairs
    np.fill_diagonal(shares, 0.0)
    if k == n:
        value = float(shares.sum() / 2)
        return Found(list(range(n)), value, value)
    if k == 2:
        np.fill_diagonal(shares, -np.inf)  # row by row, (i, j) comes before (j, i)
        pair = list(divmod(first_best(shares.ravel(), tolerance), n))
        return Found(pair, float(shares.max()), float(shares.max()))
    _, known = by_swaps(shares, k, tolerance, FIRST)
    effort = np.inf if comb(n, k) <= ALWAYS else EFFORT
    found = _by_branches(shares, k, known, tolerance, effort)
    if found.bound <= found.value and found.members:
        return found
    members, value = by_swaps(shares, k, tolerance, AGAIN)
    if found.members and found.value > value:
        members, value = found.members, found.value
    return Found(smallest_equal(members, shares, tolerance), value, max(value, found.bound))


def first_best(values: FloatArray, tolerance: float) -> int:
    """The first position of a value within `tolerance` of the largest.

    >>> first_best(np.array([0.0, 1.0, 1.0 + 1e-15]), 1e-12)
    1
    """
    return int((values >= values.max() - tolerance).argmax())


@dataclass(frozen=True)
class _Nodes:
    """M sets of t < k members that may grow into the best one, by larger members only.

    Attributes:
        sets: (M, t).
        values: (M,) of the pairs inside each set.
        gain: (M, N) what each candidate would add; -inf where it may not.
        bound: (M,) no set of k that begins so is worth more.
    """

    sets: IndexArray
    values: FloatArray
    gain: FloatArray
    bound: FloatArray

    def part(self, keep: npt.NDArray[np.bool_] | slice) -> "_Nodes":
        """Some of them."""
        return _Nodes(self.sets[keep], self.values[keep], self.gain[keep], self.bound[keep])


def _by_branches(
    shares: FloatArray, k: int, known: float, tolerance: float, effort: float
) -> Found:
    """Look at every set of which the first members do not rule it out, in lexicographic order.

    Returns:
        The first set within `tolerance` of the best, and no bound above its value; if `effort`
        was spent before, the best set so far, perhaps none, and a bound.
    """
    n = len(shares)
    # A set grows by r members: each adds its pairs with the set, and half its pairs with the new.
    mates = -np.sort(np.where(np.eye(n, dtype=bool), np.inf, -shares), axis=1)
    half = np.column_stack([np.zeros(n), np.cumsum(mates[:, : k - 1], axis=1)]) / 2
    bound = _sum_of_largest(half[None, :, k - 1], k)
    root = _Nodes(np.zeros((1, 0), np.intp), np.zeros(1), np.zeros((1, n)), bound)
    waiting = [root]  # depth first: a stack
    members: list[int] = []
    value = -np.inf
    while waiting:
        if effort <= 0:
            open_bound = max(nodes.bound.max(initial=-np.inf) for nodes in waiting)
            return Found(members, value, max(open_bound, value))
        nodes = waiting.pop()
        nodes = nodes.part(nodes.bound >= max(known, value) - tolerance)
        few = slice(max(1, BLOCK // n**2))
        if not len(nodes.sets):
            continue
        if nodes.sets.shape[1] < k - 1:
            least = max(known, value) - tolerance
            children, looked_at = _children(nodes.part(few), shares, half, k, least)
            effort -= looked_at
            waiting += [nodes.part(slice(few.stop, None)), children]
        else:
            totals = nodes.values[:, None] + nodes.gain
            effort -= totals.size
            if totals.max() > value + tolerance:
                row, last = divmod(first_best(totals.ravel(), tolerance), n)
                members, value = [*nodes.sets[row].tolist(), last], float(totals[row, last])
    return Found(members, value, value)


def _children(
    nodes: _Nodes, shares: FloatArray, half: FloatArray, k: int, least: float
) -> tuple[_Nodes, int]:
    """Add one larger member to every set, in every way that may still be worth `least`.

    Returns:
        The children, and how many numbers it took to know which.
    """
    n, rest = len(shares), k - nodes.sets.shape[1] - 1  # members still missing afterwards
    promise = nodes.gain + half[:, rest]
    hope = nodes.values + _sum_of_largest(promise, rest)
    parents, added = np.nonzero(promise + hope[:, None] >= least)
    values = nodes.values[parents] + nodes.gain[parents, added]
    gain = nodes.gain[parents] + shares[added]
    gain[np.arange(n) <= added[:, None]] = -np.inf
    bound = values + _sum_of_largest(gain + half[:, rest - 1], rest)
    children = _Nodes(np.column_stack([nodes.sets[parents], added]), values, gain, bound)
    return children.part(bound >= least), gain.size + promise.size


def _sum_of_largest(values: FloatArray, count: int) -> FloatArray:
    """(M,) the sum of the `count` largest entries of each row."""
    return -np.partition(-values, count - 1, axis=1)[:, :count].sum(axis=1)
