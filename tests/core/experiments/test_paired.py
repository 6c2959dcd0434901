"""Statistics over seeds: the sign-flip test, Holm's correction, intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import permutation_test, t

from prefopt_core.experiments.paired import (
    EXACT,
    holm,
    interval_over_seeds,
    sign_flip_test,
    smallest_p,
)

few = st.integers(1, 9).flatmap(
    lambda n: arrays(float, n, elements=st.integers(-40, 40).map(lambda i: i / 10))
)


# --- the sign-flip test -----------------------------------------------------------------------


@given(few)
def test_p_is_that_of_scipy(differences):
    differences = np.rint(10 * differences)  # scipy takes sums that differ by rounding for unequal
    if len(differences) == 1:  # scipy wants two
        assert sign_flip_test(differences) == 1.0
        return
    expected = permutation_test(
        (differences,), lambda d, axis: np.abs(d.sum(axis)), permutation_type="samples",
        vectorized=True, n_resamples=np.inf, alternative="greater",
    )  # fmt: skip
    assert sign_flip_test(differences) == pytest.approx(expected.pvalue)


@given(few, st.randoms())
def test_p_knows_neither_order_nor_unit_nor_which_arm_is_which(differences, random):
    p = sign_flip_test(differences)
    shuffled = random.sample(differences.tolist(), len(differences))
    assert sign_flip_test(np.array(shuffled)) == p
    assert sign_flip_test(-differences) == p
    assert sign_flip_test(differences * 0.3) == p
    assert smallest_p(len(differences)) <= p <= 1


@pytest.mark.parametrize("n", [1, 5, 10, EXACT, EXACT + 4])
def test_the_smallest_p_is_that_of_seeds_that_all_agree(n):
    p = sign_flip_test(np.arange(1.0, n + 1))
    assert p == pytest.approx(smallest_p(n), abs=2**-15 if n > EXACT else 0)


def test_p_is_uniform_where_there_is_no_difference():
    rng = np.random.default_rng(0)
    p = np.array([sign_flip_test(rng.standard_t(3, size=8)) for _ in range(2000)])
    for level in (0.05, 0.25, 0.5, 0.75):
        allowed = np.floor(level * 128) / 128  # p is a multiple of 2/2⁸
        assert np.mean(p <= level) == pytest.approx(allowed, abs=0.03)


# --- Holm's correction ------------------------------------------------------------------------


@given(arrays(float, st.integers(1, 8), elements=st.floats(0, 1)), st.randoms())
def test_holm_lies_between_no_correction_and_bonferronis(p_values, random):
    corrected = holm(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(1, len(p_values) * p_values)).all()
    assert corrected.min() == pytest.approx(min(1, len(p_values) * p_values.min()))
    order = random.sample(range(len(p_values)), len(p_values))
    assert (holm(p_values[order]) == corrected[order]).all()
    by_size = np.argsort(p_values, kind="stable")
    assert (np.diff(corrected[by_size]) >= 0).all()


# --- intervals over seeds ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [3, 5, 10])
@pytest.mark.parametrize("mean", [0.0, 7.0])
def test_the_interval_of_normal_values_holds_the_truth_as_often_as_it_says(n, mean):
    draws = np.random.default_rng(n).normal(mean, 2.0, size=(4000, n))
    intervals = np.array([interval_over_seeds(values) for values in draws])
    held = (intervals[:, 0] <= mean) & (mean <= intervals[:, 1])
    assert 0.93 <= held.mean() <= 0.97


@pytest.mark.parametrize(
    ("draw", "truth", "at_least"),
    [("uniform", 0.5, 0.93), ("exponential", 1.0, 0.88)],  # no interval of ten skewed does better
)
def test_the_interval_of_other_values_is_nearly_as_good_for_ten_seeds(draw, truth, at_least):
    draws = getattr(np.random.default_rng(0), draw)(size=(4000, 10))
    intervals = np.array([interval_over_seeds(values) for values in draws])
    held = (intervals[:, 0] <= truth) & (truth <= intervals[:, 1])
    assert at_least <= held.mean() <= 0.97


@given(few, st.integers(-5, 5))
def test_the_interval_is_that_of_scipy_and_moves_with_the_values(values, shift):
    interval = interval_over_seeds(values)
    if len(values) == 1:
        assert interval is None
        return
    n, spread = len(values), values.std(ddof=1)
    expected = t.interval(0.95, n - 1, values.mean(), spread / np.sqrt(n)) if spread else interval
    assert interval == pytest.approx(expected)
    low, high = interval
    assert interval_over_seeds(values + shift) == pytest.approx((low + shift, high + shift))
