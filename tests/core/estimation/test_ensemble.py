"""An ensemble of heads: near the truth where there are labels, and apart where there are none."""

import numpy as np
import pytest

from prefopt_core.estimation.ensemble import Heads
from tests.core.estimation.test_laplace import vectors


def trained(pairs, scale=2.0, seed=0, d=32):
    """Heads after labels drawn from a random linear reward, with it and the generator."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d) * scale
    one, other = vectors(pairs, d, rng), vectors(pairs, d, rng)
    won = (rng.random(pairs) < 1 / (1 + np.exp(-(one - other) @ w)))[:, None]
    heads = Heads(d, 20, rng)
    heads.fit(np.where(won, one, other), np.where(won, other, one), np.ones(pairs), rng)
    return heads, w, rng


def differences(heads, rng, d=32, n=500):
    """(n,) mean and spread over heads of differences of new rewards, and the vectors'."""
    one, other = vectors(n, d, rng), vectors(n, d, rng)
    said = heads.rewards(one) - heads.rewards(other)
    return said.mean(axis=1), said.std(axis=1), one - other


def held(scale):
    """Share of true differences within 95 % intervals."""
    shares = []
    for seed in range(2):
        heads, w, rng = trained(60, scale, seed)
        mean, spread, phi = differences(heads, rng)
        shares.append((np.abs(mean - phi @ w) < 1.96 * spread).mean())
    return np.mean(shares)


def test_intervals_hold_the_true_difference_about_as_often_as_they_say():
    assert 0.9 < held(2.0) <= 1.0


def test_intervals_are_too_narrow_where_rewards_differ_more_than_the_prior_allows():
    assert 0.5 < held(4.0) < 0.85


def test_more_labels_come_nearer_and_are_surer():
    right, spreads = [], []
    for pairs in (20, 400):
        heads, w, rng = trained(pairs)
        mean, spread, phi = differences(heads, rng)
        right.append(np.corrcoef(mean, phi @ w)[0, 1])
        spreads.append(spread.mean())
    assert right[1] > max(right[0], 0.8)
    assert spreads[1] < spreads[0] / 1.2


def test_many_equal_labels_are_believed_and_no_more_than_they_say():
    one, other = np.eye(8)[[0] * 300], np.eye(8)[[1] * 300]
    rng = np.random.default_rng(0)
    heads = Heads(8, 10, rng)
    heads.fit(one, other, np.full(300, 0.7), rng)
    said = heads.rewards(one[:1]) - heads.rewards(other[:1])
    assert said.mean() == pytest.approx(np.log(0.7 / 0.3), abs=0.1)
    assert said.std() < 0.2
    assert (heads.rewards(np.eye(8)[5:6])).std() > 1.0  # of this nothing was said


def test_heads_that_see_no_labels_are_about_zero_and_about_as_far_apart_as_the_prior():
    rng = np.random.default_rng(0)
    said = Heads(16, 2000, rng).rewards(np.eye(16)[:1])[0]
    assert said.mean() == pytest.approx(0.0, abs=0.2)
    assert said.std() == pytest.approx(4 / np.sqrt(2), rel=0.1)  # E relu(z)^2 is 1/2


def test_where_heads_began_is_all_that_draws_them_apart():
    one, same, other = (Heads(8, 3, np.random.default_rng(seed)) for seed in (0, 0, 1))
    points = np.eye(8)
    for heads in (one, same, other):
        heads.fit(points[:4], points[4:], np.ones(4), np.random.default_rng(9))
    assert np.array_equal(one.rewards(points), same.rewards(points))
    assert not np.allclose(one.rewards(points), other.rewards(points))
