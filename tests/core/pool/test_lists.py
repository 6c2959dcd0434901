"""Inverted lists: every row is where it belongs, on disk as in memory."""

from dataclasses import replace

import numpy as np
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.pool import Pool
from prefopt_core.pool.clustering import nearest_centroids, spherical_k_means
from prefopt_core.pool.lists import (
    build_index,
    lists_of,
    members_and_visitors,
    nearest_lists,
    open_index,
)


def build(rows, folder, size=700, **settings):
    folder.mkdir()
    blocks = (rows[start : start + size] for start in range(0, len(rows), size))
    return build_index(blocks, *rows.shape, folder, rng=np.random.default_rng(3), **settings)


def test_nearest_centroids_are_the_nearest_first(rows, monkeypatch):
    similarity = rows @ rows[:40].T
    for tile in (1, 1000, 2**22):
        monkeypatch.setattr("prefopt_core.pool.clustering.TILE", tile)
        nearest, best = nearest_centroids(rows[:300], rows[:40], 5)
        expected = np.sort(similarity[:300], axis=1)[:, ::-1]
        found = np.take_along_axis(similarity[:300], nearest, axis=1)
        assert np.allclose(found, expected[:, :5], atol=1e-6)
        assert np.allclose(best, expected[:, :5], atol=1e-6)


def test_k_means_finds_well_separated_groups_and_counts_weights():
    points = np.array([[1, 0.0], [0.99, 0.14], [-1, 0.0], [-0.99, 0.14]], dtype=np.float32)
    weights = np.array([1.0, 1e6, 1.0, 1e6])
    for seed in range(5):
        centroids = spherical_k_means(points, weights, 2, 5, np.random.default_rng(seed))
        assert np.allclose(np.sort(centroids[:, 0]), [-0.99, 0.99], atol=1e-2)
        assert np.allclose(np.linalg.norm(centroids, axis=1), 1)


def test_k_means_of_equal_or_opposite_rows_stays_finite():
    for points in (np.ones((6, 1)), np.array([[1.0], [-1.0]])):
        points = points.astype(np.float32)
        centroids = spherical_k_means(points, np.ones(len(points)), 1, 4, np.random.default_rng(0))
        assert np.isfinite(centroids).all()


@pytest.mark.parametrize("lists", [1, 9, None, 10_000])
def test_members_and_visitors_name_every_row_once_per_probe(pool, lists):
    some = pool.subset(np.arange(0, 5000, 2 if lists == 10_000 else 1)[:4500])
    nearest = nearest_lists(some, np.random.default_rng(0), lists=lists)
    home, seen = {}, np.zeros(len(some), dtype=int)
    for number, positions, homes in members_and_visitors(nearest):
        assert len(set(positions.tolist())) == len(positions)
        assert (nearest[positions[:homes], 0] == number).all()
        assert (nearest[positions[homes:], 1:] == number).any(axis=1).all()
        home |= dict.fromkeys(positions[:homes].tolist(), number)
        seen[positions] += 1
    assert [home[i] for i in range(len(some))] == nearest[:, 0].tolist()
    assert seen.max() <= nearest.shape[1]


def test_lists_of_a_large_pool_are_not_used_for_a_small_part(pool):
    whole = replace(pool, nearest=nearest_lists(pool, np.random.default_rng(0), lists=40))
    assert lists_of(whole, np.random.default_rng(0)) is whole.nearest
    part = whole.subset(np.arange(0, 5000, 50))
    assert set(lists_of(part, np.random.default_rng(0)).ravel().tolist()) == {0}


def test_index_is_the_same_bytes_whatever_the_block_size(rows, tmp_path):
    built = [build(rows, tmp_path / str(size), size) for size in (700, 5000)]
    for name in ("vectors.npy", "nearest.npy"):
        assert len({(tmp_path / str(size) / name).read_bytes() for size in (700, 5000)}) == 1
    opened = open_index(tmp_path / "700")
    assert isinstance(opened.vectors, np.memmap)
    assert opened.vectors.dtype == np.float16
    assert np.abs(opened.take(np.arange(5000)) - rows).max() < 1e-3
    assert np.array_equal(opened.nearest, built[0].nearest)
    assert sorted(path.name for path in (tmp_path / "700").iterdir()) == [
        "nearest.npy",
        "vectors.npy",
    ]


def test_index_in_a_file_has_the_lists_of_the_pool_in_memory(rows, tmp_path):
    built = build(rows, tmp_path / "index", lists=40, probes=3)
    again = nearest_lists(Pool.whole(built.vectors), np.random.default_rng(3), lists=40, probes=3)
    assert np.array_equal(built.nearest, again)
    assert built.nearest.shape == (5000, 3)


def test_too_few_too_many_or_unfit_rows_are_refused(rows, tmp_path):
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="Expected 60 vectors, and only 50 came"):
        build_index([rows[:50]], 60, 24, tmp_path, rng=rng)
    with pytest.raises(DataError, match=r"Expected \(40, 24\) vectors"):
        build_index([rows[:50]], 40, 24, tmp_path, rng=rng)
    with pytest.raises(DataError, match="Row 50 of the pool has length 0"):
        build_index([rows[:50], rows[:5] * 0], 55, 24, tmp_path, rng=rng)


def test_tree_finds_nearly_the_lists_that_all_centroids_would(rows, monkeypatch):
    monkeypatch.setattr("prefopt_core.pool.lists.FLAT", 16)
    pool = Pool.whole(rows)
    nearest = nearest_lists(pool, np.random.default_rng(0), lists=100, probes=6)
    assert nearest.shape == (len(rows), 6)
    assert nearest.min() >= 0
    assert all(len(set(row)) == 6 for row in nearest[:200].tolist())
    again = nearest_lists(replace(pool, block_rows=700), np.random.default_rng(0), lists=100)
    assert (again == nearest[:, :4]).mean() > 0.9999  # visits fewer groups, rounds otherwise

    # Rows at home in one list are alike, as with a flat clustering into as many.
    monkeypatch.setattr("prefopt_core.pool.lists.FLAT", 10_000)
    flat = nearest_lists(pool, np.random.default_rng(0), lists=100, probes=6)
    assert _similarity_at_home(rows, nearest) > 0.97 * _similarity_at_home(rows, flat)


def _similarity_at_home(rows, nearest):
    home = nearest[:, 0]
    means = np.array([rows[home == number].mean(axis=0) for number in np.unique(home)])
    sizes = np.unique(home, return_counts=True)[1]
    return float(np.average((means**2).sum(axis=1), weights=sizes))
