import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import bootstrap

from prefopt_core.evaluation.statistics import agreement, bootstrap_interval, win_rate

scores = arrays(float, 20, elements=st.integers(-3, 3).map(float))


@given(scores, scores)
def test_what_one_side_wins_the_other_loses(one, other):
    assert win_rate(one, other) + win_rate(other, one) == pytest.approx(1)
    assert win_rate(one, one) == 0.5
    assert win_rate(one, other) == pytest.approx(np.mean((one > other) + (one == other) / 2))


@given(scores, scores)
def test_agreement_is_symmetric_and_blind_to_units(one, other):
    assert agreement(one, other) == agreement(other, one) == agreement(100 * one, other)
    assert agreement(one, -other) == pytest.approx(1 - agreement(one, other))


def test_agreement_with_oneself_is_full_where_there_is_an_opinion():
    assert agreement(np.array([1.0, -2.0]), np.array([1.0, -2.0])) == 1.0
    assert agreement(np.array([0.0, 0.0]), np.array([0.0, 0.0])) == 0.5


def test_the_interval_agrees_with_scipy():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=200)
    expected = bootstrap((values,), np.mean, method="percentile", rng=0).confidence_interval
    assert bootstrap_interval(values, seed=0) == pytest.approx(
        (expected.low, expected.high), abs=0.03
    )


def test_the_interval_depends_on_the_seed_alone():
    values = np.arange(30.0)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng.normal(size=40), seed=seed, level=0.9, resamples=200)
        held += low <= 0 <= high
    assert 0.82 <= held / 200 <= 0.95


@pytest.mark.parametrize("values", [[2.0], [2.0] * 5])
def test_equal_values_leave_no_doubt(values):
    assert bootstrap_interval(np.array(values), seed=0) == (2.0, 2.0)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(2).normal(size=50)
    narrow, wide = (bootstrap_interval(values, seed=0, level=p) for p in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
