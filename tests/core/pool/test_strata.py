"""Splitting a count: it sums, it fits, and it is what the rule says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.ground.errors import ConfigError
from prefopt_core.pool.strata import split_count


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=9).filter(any),
    st.sampled_from(["proportional", "equal", "square_root"]),
    st.data(),
)
def test_sums_to_the_count_and_never_exceeds_a_stratum(sizes, rule, data):
    count = data.draw(st.integers(1, sum(sizes)))
    shares = split_count(np.array(sizes), count, rule)
    assert shares.sum() == count
    assert (shares >= 0).all()
    assert (shares <= sizes).all()
    if rule == "proportional":  # quota: nobody is a whole row away from the exact share
        assert (np.abs(shares - np.array(sizes) * count / sum(sizes)) < 1 + 1e-9).all()
    order = np.argsort(sizes, kind="stable")
    assert (np.diff(shares[order]) >= -1).all()  # a larger stratum gets no less, but for rounding


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("proportional", [8, 2, 0]), ("equal", [5, 4, 1]), ("square_root", [6, 3, 1])],
)
def test_rules_by_hand(rule, expected):
    assert split_count(np.array([81, 16, 1]), 10, rule).tolist() == expected


def test_equal_strata_split_evenly_and_the_first_gets_the_odd_one():
    assert split_count(np.array([10, 10, 10]), 10, "equal").tolist() == [4, 3, 3]


def test_unknown_rule_is_refused_with_a_guess():
    with pytest.raises(ConfigError, match=r"Did you mean 'proportional'\?.*`pool\.rule`"):
        split_count(np.array([1, 2]), 1, "proportionate")


@pytest.mark.parametrize("count", [0, 4])
def test_count_that_the_strata_do_not_hold_is_refused(count):
    with pytest.raises(ConfigError, match=r"`pool\.count`"):
        split_count(np.array([1, 2]), count, "equal")
