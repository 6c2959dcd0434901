import numpy as np
import pytest

from prefopt_core.evaluation.statistics import bootstrap_interval
from prefopt_core.ground.randomness import rng_for


def test_the_interval_is_that_of_means_of_values_drawn_again():
    rng = np.random.default_rng(1)
    values = rng.normal(3.0, 2.0, size=200)
    means = [rng.choice(values, size=200).mean() for _ in range(10_000)]
    expected = np.quantile(means, [0.025, 0.975])
    assert bootstrap_interval(values, seed=0) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("n", [2, 7, 40, 396])
def test_the_interval_is_the_one_that_stores_hold_bit_by_bit(n):
    values = np.random.default_rng(n).normal(size=n)
    rng = rng_for(5, "bootstrap")
    means = [values[rng.integers(n, size=n)].mean() for _ in range(2000)]
    expected = np.quantile(means, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    assert bootstrap_interval(values, seed=5) == tuple(expected)


def test_how_much_is_drawn_at_once_changes_nothing(monkeypatch):
    values = np.random.default_rng(3).normal(size=50)
    together = bootstrap_interval(values, seed=0)
    monkeypatch.setattr("prefopt_core.evaluation.statistics._DRAWN_AT_ONCE", 70)
    assert bootstrap_interval(values, seed=0) == together


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[2.0], [2.0] * 5, [0.1] * 3])
def test_equal_values_leave_no_doubt(values):
    mean = np.mean(values)
    assert bootstrap_interval(np.array(values), seed=0) == (mean, mean)


def test_a_higher_level_gives_a_wider_interval():
    values = np.random.default_rng(2).normal(size=50)
    narrow, wide = (bootstrap_interval(values, seed=0, level=p) for p in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
