"""SSAPO's follower against a linear programme, which is how the paper solves it."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from prefopt_core.follower import worst_shares

N = 12


def tangents(space, count):
    """(slopes, values at 0) of the tangents of the loss, in the space of the code or the paper."""
    if space == "probability":  # -log ξ, at k/K
        at = np.arange(1, count + 1) / count
        return -1 / at, 1 - np.log(at)
    at = np.linspace(-1.5, 3, count)  # -log σ(ξ)
    slopes = -1 / (1 + np.exp(at))
    return slopes, np.logaddexp(0, -at) - slopes * at


def linear_programme(margins, slopes, offsets, radius, lowest, highest):
    """max (1/N) Σ a_k (s_ik ξ_i - q_ik) + b_k s_ik over s and q, |q| as the sum of two slacks."""
    n, k = len(margins), len(slopes)
    gain = (slopes * margins[:, None] + offsets).ravel() / n
    push = np.tile(slopes, n) / n
    zero, one = np.zeros((n * k, n * k)), np.eye(n * k)
    xi = np.diag(np.repeat(margins, k))
    low = np.hstack([lowest * one - xi, one, -one])  # lo·s <= s·ξ - q
    high = np.hstack([xi - highest * one, -one, one])  # s·ξ - q <= hi·s
    spent = np.hstack([np.zeros(n * k), np.ones(2 * n * k) / n])
    whole = np.hstack([np.repeat(np.eye(n), k, axis=1), zero[:n], zero[:n]])
    found = linprog(
        np.hstack([-gain, push, -push]),
        A_ub=np.vstack([low, high, spent]),
        b_ub=np.hstack([np.zeros(2 * n * k), radius]),
        A_eq=whole,
        b_eq=np.ones(n),
    )
    assert found.success
    return -found.fun


@pytest.mark.parametrize(
    ("space", "count", "radius"),
    [*product(["probability", "margin"], [4, 6, 9], [0.01, 0.2])],
)
def test_sorting_reaches_the_optimum_of_the_linear_programme(space, count, radius):
    rng = np.random.default_rng(count)
    lowest, highest = (0.0, 1.0) if space == "probability" else (-1.6, 4.0)
    margins = rng.uniform(0.3, 1.0, N) if space == "probability" else rng.uniform(0, 3, N)
    slopes, offsets = tangents(space, count)

    def loss(at):
        return (slopes * at + offsets).max()

    moved = worst_shares(margins, radius=radius, lowest=lowest)
    ours = np.mean(
        [s * loss(lowest) + (1 - s) * loss(at) for at, s in zip(margins, moved, strict=True)]
    )
    best = linear_programme(margins, slopes, offsets, radius, lowest, highest)
    assert ours == pytest.approx(best, abs=1e-8)
    assert best > np.mean([loss(at) for at in margins])
    assert np.mean(moved * (margins - lowest)) == pytest.approx(radius)


def test_the_least_sure_pairs_are_moved_first_and_the_last_one_in_part():
    # ε·N = 0.5 · 4 = 2 units of distance to 0: 0.4 for the smallest, 1.0 for the next, and of the
    # 0.6 that are left 2.0 are wanted: 0.3 of that pair.
    moved = worst_shares(np.array([2.0, 0.4, 7.0, 1.0]), radius=0.5, lowest=0.0)
    assert moved == pytest.approx([0.3, 1, 0, 1])


def test_what_is_certain_or_cannot_get_worse_stays():
    margins = np.array([np.inf, -2.0, 0.5, np.inf, -1.0])
    assert worst_shares(margins, radius=9.0, lowest=-1.0).tolist() == [0, 0, 1, 0, 0]
    assert not worst_shares(margins, radius=0.0, lowest=-1.0).any()
    assert worst_shares(np.array([]), radius=1.0, lowest=-1.0).shape == (0,)
