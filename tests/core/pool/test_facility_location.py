"""Facility location: exactly greedy, and what it certifies is true."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core.pool import Pool, facility_location
from prefopt_core.pool.facility_location import Dense, Sparse, greedy, select


def value(similarity, weights, chosen):
    best = similarity[:, list(chosen)].max(axis=1, initial=0)
    return float(weights @ np.maximum(best, 0))


def naive_greedy(similarity, weights, count):
    chosen = []
    while len(chosen) < count:
        now = value(similarity, weights, chosen)
        gains = [
            -1 if j in chosen else value(similarity, weights, [*chosen, j]) - now
            for j in range(len(weights))
        ]
        if max(gains) <= 0:
            break
        chosen.append(int(np.argmax(gains)))
    left = [j for j in range(len(weights)) if j not in chosen]
    return (chosen + sorted(left, key=lambda j: -weights[j]))[:count]


@st.composite
def problems(draw):
    """Similarities and weights that float64 adds exactly, so that ties are ties."""
    n = draw(st.integers(1, 8))
    half = draw(arrays(np.int8, (n, n), elements=st.integers(-8, 8)))
    similarity = (np.triu(half) + np.triu(half, 1).T) / 8
    np.fill_diagonal(similarity, 1)
    weights = draw(arrays(np.int8, n, elements=st.integers(1, 4))).astype(float)
    return similarity.astype(np.float32), weights, draw(st.integers(1, n))


def as_graph(similarity):
    """All pairs as a graph: row i's neighbours are all others."""
    n = len(similarity)
    ids = np.array([[j for j in range(n) if j != i] for i in range(n)], dtype=np.int32)
    ids = ids.reshape(n, n - 1)
    return Sparse.of(ids, np.take_along_axis(similarity, ids.astype(int), axis=1))


@given(problems())
def test_lazy_greedy_is_greedy_dense_and_sparse(problem):
    similarity, weights, count = problem
    expected = naive_greedy(similarity, weights, count)
    for columns in (Dense(similarity), as_graph(similarity)):
        order, found, _ = greedy(columns, weights, count)
        assert order.tolist() == expected
        assert found == value(similarity, weights, expected)


@given(problems())
def test_no_set_exceeds_the_bound(problem):
    similarity, weights, count = problem
    _, found, bound = greedy(Dense(similarity), weights, count)
    subsets = combinations(range(len(weights)), count)
    best = max(value(similarity, weights, s) for s in subsets)
    assert found <= best <= bound
    assert found >= (1 - 1 / np.e) * best


def test_graph_with_empty_places_and_negative_similarities():
    ids = np.array([[1, 2], [0, -1], [-1, -1]], dtype=np.int32)
    columns = Sparse.of(ids, np.array([[0.5, -0.25], [0.5, 0], [0, 0]], dtype=np.float32))
    assert [sorted(columns[j][0].tolist()) for j in range(3)] == [[0, 1], [0, 1], [2]]
    assert columns.gains(np.ones(3), np.zeros(3)).tolist() == [1.5, 1.5, 1.0]


@pytest.mark.slow
def test_graph_is_nearly_as_good_as_all_similarities(pool, rows, monkeypatch):
    weights = np.ones(len(rows))
    dense = select(pool, 60, np.random.default_rng(0), per_pick=100)
    monkeypatch.setattr(facility_location, "DENSE", 100)
    sparse = select(pool, 60, np.random.default_rng(0), per_pick=100, neighbours_per_row=500)
    assert "of 5000 rows" in sparse.certificate
    reached, with_graph = (
        value(rows @ rows[p.positions].T, weights, range(60)) for p in (dense, sparse)
    )
    assert with_graph > 0.97 * reached
    assert float(dense.certificate.split()[2].rstrip(",")) == pytest.approx(
        reached / 5000, abs=1e-4
    )


def test_heavy_row_comes_first():
    pool = Pool.whole(np.eye(4, dtype=np.float32))
    pool = pool.subset(np.arange(4), np.array([1.0, 2.0, 5.0, 2.0]))
    picked = select(pool, 4, np.random.default_rng(0))
    assert picked.positions.tolist() == [2, 1, 3, 0]


def test_sample_covers_the_weight_of_the_whole_pool(pool):
    picked = select(pool, 10, np.random.default_rng(0), per_pick=20)
    assert "among 200 sampled of 5000 rows" in picked.certificate
    assert len(set(picked.positions.tolist())) == 10
