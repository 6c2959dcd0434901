"""The whole way from a pool to the rows to label."""

from dataclasses import replace

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.pool import POOL_STRATEGIES, Pool
from prefopt_core.pool.choose import choose
from prefopt_core.pool.lists import nearest_lists


@pytest.mark.parametrize("strategy", list(POOL_STRATEGIES))
def test_rows_are_distinct_unlike_each_other_and_weigh_what_they_stand_for(rows, strategy):
    some = rows[:3000]  # one list: nothing above the threshold is left
    choice = choose(Pool.whole(some), 50, strategy, seed=0, near_duplicates=0.9)
    assert len(set(choice.rows.tolist())) == 50
    similarity = rows[choice.rows] @ rows[choice.rows].T
    assert np.triu(similarity, 1).max() < 0.9
    assert choice.weights.min() >= 1
    assert list(choice.certificates) == [""]


def test_weight_of_the_pool_is_kept_when_all_distinct_rows_are_chosen():
    rows = np.repeat(np.eye(4, dtype=np.float32), [1, 2, 3, 4], axis=0)
    choice = choose(Pool.whole(rows), 4, seed=0)
    assert dict(zip(choice.rows.tolist(), choice.weights.tolist(), strict=True)) == {
        0: 1.0,
        1: 2.0,
        3: 3.0,
        6: 4.0,
    }
    assert choice.rows[0] == 6


def test_rows_are_those_of_the_matrix_not_of_the_pool(rows):
    held = np.arange(1000, 1400)
    choice = choose(Pool.whole(rows).subset(held), 20, "coreset", seed=0)
    assert set(choice.rows.tolist()) <= set(held.tolist())


def test_seed_decides_and_blocks_do_not(rows):
    pool = Pool.whole(rows)
    first = choose(pool, 30, params={"per_pick": 20}, seed=1)
    again = choose(replace(pool, block_rows=311), 30, params={"per_pick": 20}, seed=1)
    other = choose(pool, 30, params={"per_pick": 20}, seed=2)
    assert np.array_equal(first.rows, again.rows)
    assert not np.array_equal(first.rows, other.rows)


def test_lists_of_an_index_are_used(rows, monkeypatch):
    pool = Pool.whole(rows)
    pool = replace(pool, nearest=nearest_lists(pool, np.random.default_rng(0), lists=40))
    monkeypatch.setattr("prefopt_core.pool.lists.nearest_lists", None)
    assert len(choose(pool, 5, "coreset", seed=0).rows) == 5


def test_strata_share_the_count_and_take_turns(rows):
    strata = np.array(["code", "law"])[np.arange(5000) % 4 // 3]  # 3 : 1
    choice = choose(Pool.whole(rows), 40, "coreset", seed=0, strata=strata, near_duplicates=None)
    of = strata[choice.rows]
    assert (of == "code").sum() == 30
    assert (of[:8] == "code").sum() == 6
    assert sorted(choice.certificates) == ["code", "law"]
    equal = choose(Pool.whole(rows), 40, "coreset", seed=0, strata=strata, rule="equal")
    assert (strata[equal.rows] == "code").sum() == 20


def test_stratum_does_not_depend_on_the_others(rows):
    strata = np.arange(5000) % 2
    whole = choose(Pool.whole(rows), 20, seed=0, strata=strata, rule="equal")
    only = np.flatnonzero(strata == 1)
    part = choose(Pool.whole(rows).subset(only), 10, seed=0, strata=strata[only])
    assert [row for row in whole.rows.tolist() if strata[row]] == part.rows.tolist()


@pytest.mark.parametrize("count", [0, 21])
def test_count_outside_the_pool_is_refused(count):
    rows = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    with pytest.raises(ConfigError, match=rf"count={count} of 20 rows"):
        choose(Pool.whole(rows), count, seed=0)
    with pytest.raises(ConfigError, match="count=1 of 0 rows"):
        choose(Pool.whole(rows[:0]), 1, seed=0)


@pytest.mark.parametrize("count", [5, 20])
def test_more_than_there_are_distinct_rows_is_refused_with_what_to_change(count):
    rows = np.repeat(np.eye(4, dtype=np.float32), 5, axis=0)
    with pytest.raises(
        ConfigError, match=rf"count={count} of 4 distinct rows \(20 .*`pool\.count`"
    ):
        choose(Pool.whole(rows), count, seed=0)


@pytest.mark.parametrize("unfit", [0.0, np.nan])
def test_unfit_row_is_named(rows, unfit):
    rows = rows.copy()
    rows[4321] = unfit
    with pytest.raises(DataError, match="Row 4321 of the pool"):
        choose(Pool.whole(rows), 3, seed=0)


def test_missing_strata_are_refused(rows):
    pool = Pool.whole(rows)
    with pytest.raises(DataError, match=r"Expected 5000 strata.*\(4,\)"):
        choose(pool, 3, seed=0, strata=np.arange(4))
    labels = np.array(["a"] * 5000, dtype=object)
    labels[[7, 9]] = ""
    with pytest.raises(DataError, match=r"Row 7 of the pool has no stratum, like 2 in all"):
        choose(pool, 3, seed=0, strata=labels)


def test_unknown_strategy_is_refused(rows):
    with pytest.raises(ConfigError, match="Did you mean 'coreset'"):
        choose(Pool.whole(rows), 3, "corset", seed=0)
