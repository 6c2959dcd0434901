"""The subset search on matrices whose answer is plain to see."""

import numpy as np
import pytest

from prefopt_core.selection.best_subset import best_subset


def worth_of(n, otherwise, **pairs):
    """A symmetric matrix: `worth_of(3, 0, _01=2)` is 2 between 0 and 1, and 0 elsewhere."""
    worth = np.full((n, n), float(otherwise))
    for name, value in pairs.items():
        i, j = int(name[1]), int(name[2])
        worth[i, j] = worth[j, i] = value
    return worth


@pytest.fixture(params=["proof", "one climb"])
def search(request, monkeypatch):
    """The whole search, and what is left of it where proof is too dear: one start."""
    if request.param == "one climb":
        for name, value in {"ALWAYS": 0, "EFFORT": 0, "FIRST": 1, "AGAIN": 1}.items():
            monkeypatch.setattr(f"prefopt_core.selection.best_subset.{name}", value)
    return lambda worth, k: best_subset(worth, k, tolerance=1e-12).members


def test_of_two_equal_groups_the_first_is_taken(search):
    worth = worth_of(6, 0, _01=1, _02=1, _12=1, _34=1, _35=1, _45=1)
    assert search(worth, 3) == [0, 1, 2]


def test_single_climb_starts_at_the_best_pair(search):
    # {3, 4, 5} is what the worst pair grows into, and no swap leads out of it.
    worth = worth_of(6, -10, _01=2, _02=2, _12=2, _34=-11, _35=1.9, _45=1.9)
    assert search(worth, 3) == [0, 1, 2]


def test_single_climb_leaves_the_best_pair_when_that_pays(search):
    worth = worth_of(4, 0, _01=5, _02=1, _12=1, _03=4, _13=-5, _23=4.9)
    assert search(worth, 3) == [0, 2, 3]


@pytest.mark.slow
def test_one_can_be_left_out_of_many(search):
    rng = np.random.default_rng(0)
    worth = rng.normal(size=(120, 120))
    worth += worth.T
    np.fill_diagonal(worth, 0)
    without = [worth.sum() - 2 * worth[i].sum() for i in range(120)]  # value of all but i
    left_out = int(np.argmax(without))
    expected = [i for i in range(120) if i != left_out]
    assert search(worth, 119) == expected


@pytest.mark.parametrize("k", [2, 3, 4])
def test_worth_is_left_alone(search, k):
    worth = worth_of(4, 0.5)
    np.fill_diagonal(worth, 7.0)
    before = worth.copy()
    search(worth, k)
    assert np.array_equal(worth, before)
