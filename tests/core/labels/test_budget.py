"""The budget across prompts: against dynamic programming, against algebra, and the promises."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.labels.budget import allocate


@st.composite
def concave_totals(draw):
    """Gains that fall: the mean of the first two is at least the third, and so on."""
    size = draw(st.integers(0, 4))
    falling = sorted(draw(st.lists(st.integers(-8, 16), min_size=size, max_size=size)))[::-1]
    return np.array([2 * falling[0], *falling[1:]]).cumsum() / 8 if falling else np.zeros(0)


any_totals = st.lists(st.integers(-8, 16), max_size=4).map(lambda values: np.array(values) / 8)


def value_of(totals, labels):
    return sum(t[m - 2] for t, m in zip(totals, labels, strict=True) if m)


def best_value(totals, budget):
    """The optimum by dynamic programming over prompts and labels."""
    best = np.zeros(budget + 1)
    for of_prompt in totals:
        before = best.copy()
        for m, worth in enumerate(of_prompt, 2):
            if m <= budget:
                best[m:] = np.maximum(best[m:], before[: budget + 1 - m] + worth)
    return best[-1]


def steepest(of_prompt):
    """The largest step of the least concave majorant, in total worth."""
    points = [(0, 0.0), *((m, float(worth)) for m, worth in enumerate(of_prompt, 2))]
    largest, at = 0.0, 0
    while at < len(points) - 1:
        slope, to = max(
            ((points[j][1] - points[at][1]) / (points[j][0] - points[at][0]), -j)
            for j in range(at + 1, len(points))
        )
        if slope <= 0:
            break
        largest, at = max(largest, points[-to][1] - points[at][1]), -to
    return largest


# ---------------------------------------------------------------- allocate


@given(st.lists(concave_totals(), max_size=6), st.integers(0, 20))
@settings(max_examples=400)
def test_allocation_is_optimal_where_gains_fall(totals, budget):
    labels = allocate(totals, budget)
    assert value_of(totals, labels) == pytest.approx(best_value(totals, budget), abs=1e-9)


@given(st.lists(any_totals, max_size=6), st.integers(0, 20))
@settings(max_examples=400)
def test_allocation_is_within_one_step_of_the_optimum(totals, budget):
    short = best_value(totals, budget) - value_of(totals, allocate(totals, budget))
    assert short <= max((steepest(t) for t in totals), default=0.0) + 1e-9


@given(st.lists(any_totals, max_size=6), st.integers(0, 20))
def test_allocation_keeps_its_limits(totals, budget):
    labels = allocate(totals, budget)
    assert labels.shape == (len(totals),)
    assert labels.sum() <= budget
    assert all(m == 0 or 2 <= m <= len(t) + 1 for m, t in zip(labels, totals, strict=True))
    assert labels.tolist() == allocate(totals, budget).tolist()


@given(st.lists(concave_totals(), max_size=6), st.integers(0, 20))
def test_no_label_that_gains_something_is_left_unspent(totals, budget):
    labels = allocate(totals, budget)
    left = budget - labels.sum()
    for m, of_prompt in zip(labels, totals, strict=True):
        now = of_prompt[m - 2] if m else 0.0
        within = of_prompt[: max(0, m + left - 1)]
        assert not len(within) or within.max() <= now + 1e-9


@given(st.lists(concave_totals(), max_size=5), st.integers(0, 15), st.integers(0, 5))
def test_more_budget_is_never_worth_less(totals, budget, more):
    values = [value_of(totals, allocate(totals, b)) for b in (budget, budget + more)]
    assert values[1] >= values[0] - 1e-9


def test_equal_prompts_are_served_in_their_order():
    assert allocate([np.array([1.0, 1.4])] * 4, 5).tolist() == [3, 2, 0, 0]


def test_one_cheap_label_makes_room_for_a_pair():
    # Greedy takes 2 + 1 of the first prompt and cannot pay for the second pair any more.
    assert allocate([np.array([1.0, 1.4]), np.array([0.76])], 4).tolist() == [2, 2]


def test_labels_that_would_lower_the_total_are_not_bought():
    assert allocate([np.array([0.5, 0.3]), np.array([-0.1]), np.zeros(0)], 9).tolist() == [2, 0, 0]


def test_impossible_requests_say_what_is_wrong():
    with pytest.raises(ConfigError, match="at least 0"):
        allocate([np.array([1.0])], -1)
    with pytest.raises(DataError, match="prompt 1"):
        allocate([np.array([1.0]), np.array([np.nan])], 2)
    assert allocate([], 5).tolist() == []


def test_a_hundred_thousand_prompts_take_less_than_a_second():
    rng = np.random.default_rng(0)
    totals = list(rng.normal(0.3, 0.5, size=(100_000, 7)).cumsum(axis=1))
    started = time.process_time()
    labels = allocate(totals, 300_000)
    assert time.process_time() - started < 1.0
    assert labels.sum() == 300_000


# ---------------------------------------------------------------- order and totals
