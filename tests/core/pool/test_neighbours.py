"""The neighbour graph against brute force."""

import numpy as np
import pytest

from prefopt_core.pool import Pool
from prefopt_core.pool.lists import nearest_lists
from prefopt_core.pool.neighbours import neighbours

ONE = np.zeros((600, 1), dtype=np.int32)


def brute_force(rows, k):
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(similarity, order, axis=1)


@pytest.mark.parametrize(("tile", "base"), [(1, 64), (5000, 100), (2**17, 4096)])
def test_in_one_list_it_is_exact_whatever_the_blocks(rows, tile, base, monkeypatch):
    monkeypatch.setattr("prefopt_core.pool.neighbours.TILE", tile)
    monkeypatch.setattr("prefopt_core.pool.neighbours.BASE", base)
    some = rows[:600]
    ids, similarity = neighbours(Pool.whole(some), ONE, 10)
    _, expected = brute_force(some, 10)
    assert np.allclose(similarity, expected, atol=1e-6)
    assert np.allclose(np.einsum("ikd,id->ik", some[ids], some), expected, atol=1e-6)
    assert (ids != np.arange(600)[:, None]).all()
    assert all(len(set(row)) == 10 for row in ids.tolist())


def test_recall_in_lists(pool, rows):
    ids, _ = neighbours(pool, nearest_lists(pool, np.random.default_rng(0)), 10)
    some = np.arange(0, 5000, 10)
    similarity = rows[some] @ rows.T
    similarity[np.arange(500), some] = -np.inf
    expected = np.argpartition(-similarity, 10, axis=1)[:, :10]
    assert np.mean([np.isin(a, b) for a, b in zip(ids[some], expected, strict=True)]) > 0.9


def test_negative_zero_and_positive_similarities_are_ordered_and_ties_go_to_the_first():
    rows = np.array([[1, 0], [-1, 0], [0, 1], [0.6, 0.8], [0, -1], [0, 1]], dtype=np.float32)
    ids, similarity = neighbours(Pool.whole(rows), ONE[:6], 7)
    assert ids[0].tolist()[:1] == [3]
    assert ids[2].tolist() == [5, 3, 0, 1, 4, -1, -1]
    assert np.allclose(similarity[2], [1, 0.8, 0, 0, -1, 0, 0])


def test_rows_without_company_have_no_neighbours():
    nearest = np.array([[0], [1], [7]], dtype=np.int32)
    ids, similarity = neighbours(Pool.whole(np.eye(3)), nearest, 2)
    assert ids.dtype == np.int32
    assert (ids == -1).all()
    assert (similarity == 0).all()
