"""Near-duplicates against brute force: none removed wrongly, hardly any left."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.ground.errors import ConfigError
from prefopt_core.pool import Pool
from prefopt_core.pool.lists import nearest_lists
from prefopt_core.pool.near_duplicates import leaders


def by_definition(similarity, threshold):
    """Rows in order; each joins the first leader that is similar enough."""
    leader_of = []
    for i in range(len(similarity)):
        similar = [j for j in sorted(set(leader_of)) if similarity[i, j] >= threshold]
        leader_of.append(similar[0] if similar else i)
    return leader_of


def one_list(n):
    return np.zeros((n, 1), dtype=np.int32)


@pytest.mark.parametrize("chunk", [7, 64, 4096])
@pytest.mark.parametrize("threshold", [0.7, 0.95])
def test_in_one_list_it_is_the_plain_method(rows, threshold, chunk, monkeypatch):
    monkeypatch.setattr("prefopt_core.pool.near_duplicates.CHUNK", chunk)
    some = rows[:600]
    found = leaders(Pool.whole(some), one_list(600), threshold)
    assert found.tolist() == by_definition(some @ some.T, threshold)


@pytest.mark.parametrize(("threshold", "left_over"), [(0.8, 0.02), (0.95, 0.002)])
def test_none_is_removed_wrongly_and_hardly_any_left(pool, rows, threshold, left_over):
    leader_of = leaders(pool, nearest_lists(pool, np.random.default_rng(0)), threshold)
    kept = np.flatnonzero(leader_of == np.arange(len(pool)))
    assert set(leader_of.tolist()) == set(kept.tolist())
    own = np.einsum("ij,ij->i", rows, rows[leader_of])
    assert own.min() >= threshold - 1e-5
    left = (np.triu(rows[kept] @ rows[kept].T, 1) >= threshold).any(axis=1).sum()
    assert left <= left_over * len(pool)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 9))
def test_exact_duplicates_collapse_in_any_lists(directions, lists):
    pool = Pool.whole(np.eye(6, dtype=np.float16)[directions])
    nearest = nearest_lists(pool, np.random.default_rng(0), lists=lists)
    leader_of = leaders(pool, nearest, 0.999)
    assert leader_of.tolist() == [directions.index(x) for x in directions]


def test_large_number_of_copies_costs_little_memory_and_leaves_one(monkeypatch):
    monkeypatch.setattr("prefopt_core.pool.near_duplicates.CHUNK", 256)
    pool = Pool.whole(np.ones((50_000, 1), dtype=np.float16))
    assert not leaders(pool, one_list(50_000), 0.95).any()


def test_float16_file_gives_the_same_leaders(rows, on_disk):
    nearest = nearest_lists(Pool.whole(rows), np.random.default_rng(0))
    in_memory = leaders(Pool.whole(rows), nearest, 0.9)
    from_file = leaders(Pool.whole(on_disk), nearest, 0.9)
    assert (in_memory != from_file).mean() < 0.01


@pytest.mark.parametrize("threshold", [0, -0.5, 1.0, np.nan])
def test_threshold_that_is_no_cosine_is_refused(pool, threshold):
    with pytest.raises(ConfigError, match=r"`pool\.near_duplicates`"):
        leaders(pool, one_list(len(pool)), threshold)
