"""The subset search on matrices whose answer is plain to see."""

import numpy as np
import pytest

from prefopt_core.selection import best_subset as search
from prefopt_core.selection.best_subset import best_subset


def worth_of(n, otherwise, **pairs):
    """A symmetric matrix: `worth_of(3, 0, _01=2)` is 2 between 0 and 1, and 0 elsewhere."""
    worth = np.full((n, n), float(otherwise))
    for name, value in pairs.items():
        i, j = int(name[1]), int(name[2])
        worth[i, j] = worth[j, i] = value
    return worth


@pytest.mark.parametrize("max_subsets", [0, 100])
def test_of_two_equal_groups_the_first_is_taken(max_subsets):
    worth = worth_of(6, 0, _01=1, _02=1, _12=1, _34=1, _35=1, _45=1)
    assert best_subset(worth, 3, tolerance=1e-12, max_subsets=max_subsets) == [0, 1, 2]


def test_single_climb_starts_at_the_best_pair(monkeypatch):
    # {3, 4, 5} is what the worst pair grows into, and no swap leads out of it.
    monkeypatch.setattr(search, "CLIMB", 1)
    worth = worth_of(6, -10, _01=2, _02=2, _12=2, _34=-11, _35=1.9, _45=1.9)
    assert best_subset(worth, 3, tolerance=1e-12, max_subsets=0) == [0, 1, 2]


def test_single_climb_leaves_the_best_pair_when_that_pays(monkeypatch):
    monkeypatch.setattr(search, "CLIMB", 1)
    worth = worth_of(4, 0, _01=5, _02=1, _12=1, _03=4, _13=-5, _23=4.9)
    assert best_subset(worth, 3, tolerance=1e-12, max_subsets=0) == [0, 2, 3]


def test_leaving_out_the_few_is_as_exact_as_taking_the_few():
    rng = np.random.default_rng(0)
    worth = rng.normal(size=(120, 120))
    worth += worth.T
    np.fill_diagonal(worth, 0)
    without = [worth.sum() - 2 * worth[i].sum() for i in range(120)]  # value of all but i
    left_out = int(np.argmax(without))
    expected = [i for i in range(120) if i != left_out]
    assert best_subset(worth, 119, tolerance=1e-12) == expected


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("max_subsets", [0, 100])
def test_worth_is_left_alone(k, max_subsets):
    worth = worth_of(4, 0.5)
    np.fill_diagonal(worth, 7.0)
    before = worth.copy()
    best_subset(worth, k, tolerance=1e-12, max_subsets=max_subsets)
    assert np.array_equal(worth, before)
