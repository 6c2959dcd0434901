"""A pool in a file is never in memory as a whole."""

import tracemalloc
from dataclasses import replace

import faiss  # noqa: F401, here, as its import must not be measured with the work
import numpy as np
import pytest

from prefopt_core.pool import POOL_STRATEGIES, Pool, clustering, coreset, coverage, near_duplicates
from prefopt_core.pool.lists import nearest_lists

N, D = 40_000, 128
WHOLE = N * D * 4  # bytes as float32: 20 MB


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    path = tmp_path_factory.mktemp("pool") / "rows.npy"
    rows = np.random.default_rng(0).normal(size=(N, D))
    np.save(path, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16))
    return replace(Pool.whole(np.load(path, mmap_mode="r")), block_rows=1000)


def peak(work):
    tracemalloc.start()
    work()
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    for module in (clustering, coreset, coverage):
        monkeypatch.setattr(module, "TILE", 2**18)
    monkeypatch.setattr(coreset, "FRONT", 1000)
    monkeypatch.setattr(near_duplicates, "CHUNK", 500)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("aepo", {}),
        ("coreset", {}),
        ("facility_location", {"per_pick": 35}),
        ("k_means", {"per_pick": 50}),
        ("random", {}),
    ],
)
def test_strategies_hold_a_part_of_the_rows(pool, name, params):
    rng = np.random.default_rng(0)
    assert peak(lambda: POOL_STRATEGIES[name](pool, 20, rng, **params)) < WHOLE / 3


def test_lists_near_duplicates_and_figures_hold_a_part_of_the_rows(pool):
    rng = np.random.default_rng(0)
    assert peak(lambda: nearest_lists(pool, rng, lists=50)) < WHOLE / 3
    one_list = np.zeros((N, 1), dtype=np.int32)
    few = pool.subset(np.repeat(np.arange(100), N // 100))  # hardly a row is unlike the others
    assert peak(lambda: near_duplicates.leaders(few, one_list, 0.95)) < WHOLE / 3
    assert peak(lambda: coverage.coverage(pool, np.arange(50))) < WHOLE / 3
