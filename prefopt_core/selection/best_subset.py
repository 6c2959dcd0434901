"""Best k of N candidates by the mean worth of their pairs: the search behind the AEPO family.

Every objective of the family is a mean over the pairs inside the selected set S,

    F(S) = mean of w_ij over i,j∈S, i≠j

so the search needs the matrix w alone, no similarities.

Notation: N candidates, k selected, w the (N, N) symmetric worth of pairs, M sets at once.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray, IndexArray
from prefopt_core.selection.candidates import Found
from prefopt_core.selection.swaps import by_swaps, smallest_equal

BLOCK = 2**18  # M·N², most array entries that extending M sets computes at once: 2 MB
ALWAYS = 1_000_000  # C(N, k) up to which branch and bound runs to its end
EFFORT = 2**23  # for larger C(N, k): array entries computed before it gives up, some 0.1 s
FIRST, AGAIN = 2**15, 2**20  # `by_swaps` size: before branch and bound, and after it gave up


def best_subset(worth: FloatArray, k: int, *, tolerance: float) -> Found:
    """Find the k indices of the largest F; of equally good sets, the lexicographically smallest.

    Exact for k = 2 by a scan of w. Otherwise sets grown greedily from the best pairs are improved
    by best swaps, and the best of them prunes an exhaustive search, branch and bound: exact when
    that ends, as it always does for C(N, k) <= `ALWAYS` and often far beyond. When `EFFORT` is
    spent, swaps start from many more sets, ties are looked for one swap away, and the bound is the
    largest value that branch and bound could not exclude. No step draws a random number.

    Args:
        worth: (N, N), symmetric; the diagonal is ignored.
        k: How many to select, 2 <= k <= N.
        tolerance: Values of F that differ by no more are a tie, so that rounding does not decide.

    Returns:
        The set, F of it, and a bound on F of every set of k.
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
    """M nodes of the search tree: sets of t < k members, to which only larger indices are added.

    Attributes:
        sets: (M, t).
        values: (M,) of the pairs inside each set.
        gain: (M, N) what each candidate would add; -inf for those that may not be added.
        bound: (M,) upper bound on the value of every set of k that begins with these members.
    """

    sets: IndexArray
    values: FloatArray
    gain: FloatArray
    bound: FloatArray

    def part(self, keep: npt.NDArray[np.bool_] | slice) -> "_Nodes":
        """The nodes that `keep` selects."""
        return _Nodes(self.sets[keep], self.values[keep], self.gain[keep], self.bound[keep])


def _by_branches(
    shares: FloatArray, k: int, known: float, tolerance: float, effort: float
) -> Found:
    """Branch and bound, depth first: visit the sets that no bound rules out, lexicographically.

    Returns:
        The first set within `tolerance` of the best, its value as the bound; if `effort` was
        spent before the end, the best set so far, perhaps none, and a bound above it.
    """
    n = len(shares)
    # half[i, r]: half the r largest shares of candidate i. Of members to come, each adds its pairs
    # with the set, which are `gain`, and half of its pairs with the others to come, at most this.
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
    """Extend every set by one larger index; keep the children whose bound reaches `least`.

    Returns:
        The children, and how many array entries were computed: the effort.
    """
    n, rest = len(shares), k - nodes.sets.shape[1] - 1  # members still missing afterwards
    most = nodes.gain + half[:, rest]  # (M, N) bound on what each candidate adds in the end
    others = nodes.values + _sum_of_largest(most, rest)
    parents, added = np.nonzero(most + others[:, None] >= least)
    values = nodes.values[parents] + nodes.gain[parents, added]
    gain = nodes.gain[parents] + shares[added]
    gain[np.arange(n) <= added[:, None]] = -np.inf
    bound = values + _sum_of_largest(gain + half[:, rest - 1], rest)
    children = _Nodes(np.column_stack([nodes.sets[parents], added]), values, gain, bound)
    return children.part(bound >= least), gain.size + most.size


def _sum_of_largest(values: FloatArray, count: int) -> FloatArray:
    """(M,) the sum of the `count` largest entries of each row."""
    return -np.partition(-values, count - 1, axis=1)[:, :count].sum(axis=1)
