"""What every pool strategy promises, and what only one of them does."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.pool import POOL_STRATEGIES, Picked, Pool
from prefopt_core.pool.coverage import coverage
from prefopt_core.selection.aepo import objective
from prefopt_core.selection.similarity import cosine

STRATEGIES = list(POOL_STRATEGIES)


def pick(name, pool, count, seed=0, **params):
    params = POOL_STRATEGIES.complete_params(name, params)
    return POOL_STRATEGIES[name](pool, count, np.random.default_rng(seed), **params)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("count", [1, 40])
def test_distinct_positions_nearly_the_same_whatever_the_blocks(name, count, rows, pool):
    picked = pick(name, pool, count)
    assert isinstance(picked, Picked)
    assert picked.positions.dtype == np.int64
    assert len(set(picked.positions.tolist())) == count
    assert picked.positions.min() >= 0
    assert picked.positions.max() < len(pool)
    again = pick(name, pool, count)
    assert np.array_equal(again.positions, picked.positions)
    assert again.certificate == picked.certificate
    # In other blocks some processors round otherwise, so of rows that are as good another may win.
    other = pick(name, replace(pool, block_rows=777), count)
    assert len(np.intersect1d(other.positions, picked.positions)) >= 0.9 * count


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize(
    "rows",
    [np.ones((1, 1)), np.ones((7, 1)), np.eye(5), np.array([[1.0], [-1.0], [1.0]])],
    ids=["one row", "all equal", "none alike", "one dimension"],
)
def test_degenerate_pools_can_be_chosen_whole(name, rows):
    for dtype in (np.float16, np.float32):
        picked = pick(name, Pool.whole(rows.astype(dtype)), len(rows))
        assert sorted(picked.positions.tolist()) == list(range(len(rows)))


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("count", [0, 5001])
def test_impossible_count_is_refused(name, count, pool):
    with pytest.raises(ConfigError, match=r"`pool\.count`"):
        pick(name, pool, count)


@pytest.mark.parametrize("name", STRATEGIES)
def test_float16_file_serves_as_well(name, on_disk, pool):
    from_file = pick(name, Pool.whole(on_disk), 40).positions
    in_memory = pick(name, pool, 40).positions
    difference = coverage(pool, from_file).value - coverage(pool, in_memory).value
    assert abs(difference) < 0.02


@pytest.mark.parametrize("name", ["aepo", "coreset", "random"])
def test_smaller_count_is_the_beginning_of_a_larger_one(name, pool):
    assert np.array_equal(pick(name, pool, 9).positions, pick(name, pool, 30).positions[:9])


def test_smaller_count_is_the_beginning_of_facility_location_on_the_same_sample(pool):
    few = pick("facility_location", pool, 9, per_pick=5000).positions
    assert np.array_equal(few, pick("facility_location", pool, 30, per_pick=5000).positions[:9])


def test_the_good_ones_cover_better_than_random(pool):
    covers = {name: coverage(pool, pick(name, pool, 60).positions) for name in STRATEGIES}
    value = {name: covered.value for name, covered in covers.items()}
    assert value["facility_location"] > value["k_means"] > value["random"]
    assert min(covers, key=lambda name: covers[name].radius) == "coreset"


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0, 2.0])
def test_aepo_is_greedy_on_the_objective_for_one_prompt(rows, weight):
    some = rows[:60]
    counts = np.random.default_rng(1).integers(1, 4, size=60)
    pool = replace(Pool.whole(some), weights=counts.astype(float))
    order = pick("aepo", pool, 8, diversity_weight=weight).positions.tolist()
    similarity = cosine(some)
    for m in range(2, 9):
        sets = np.array([[*order[: m - 1], y] for y in range(60) if y not in order[: m - 1]])
        values = objective(similarity, sets, weight, counts)
        taken = objective(similarity, np.array([order[:m]]), weight, counts)[0]
        assert taken == pytest.approx(values.max(), abs=1e-6)


def test_k_means_takes_heavy_clusters_first_and_fills_empty_ones():
    rows = np.repeat(np.eye(3, dtype=np.float32), [1, 5, 3], axis=0)
    picked = pick("k_means", Pool.whole(rows), 9)
    masses = [int(np.argmax(rows[i])) for i in picked.positions[:3]]
    assert len(set(picked.positions.tolist())) == 9
    assert set(masses) <= {0, 1, 2}
    weights = np.array([1.0, 2.0, 9.0])
    heavy = pick("k_means", replace(Pool.whole(np.eye(3)), weights=weights), 3)
    assert all(weights[a] >= weights[b] for a, b in pairwise(heavy.positions))
