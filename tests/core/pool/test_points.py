"""Pools: what they hand out is what the matrix holds, however it is stored and cut."""

from dataclasses import replace

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.pool import Pool
from prefopt_core.pool.points import require_count, require_unit_rows


@pytest.mark.parametrize("block_rows", [1, 7, 4999, 5000, 9000])
def test_blocks_are_the_rows_in_order(rows, block_rows):
    pool = replace(Pool.whole(rows), block_rows=block_rows)
    parts = [(at, block) for at, block in pool.blocks()]
    assert all(len(block) <= block_rows and block.dtype == np.float32 for _, block in parts)
    assert np.array_equal(np.concatenate([block for _, block in parts]), rows)
    assert np.array_equal(np.concatenate([np.arange(5000)[at] for at, _ in parts]), np.arange(5000))


@pytest.mark.parametrize("positions", [[3, 1, 2], [1, 2, 3], [1, 3, 2, 4], [7], []])
def test_subset_of_a_file_keeps_order_rows_and_weights(on_disk, positions):
    positions = np.array(positions, dtype=np.int64)
    nearest = np.arange(5000, dtype=np.int32)[:, None]
    pool = Pool.whole(on_disk, nearest).subset(np.arange(100, 200), np.arange(100) + 1.0)
    part = pool.subset(positions)
    assert np.array_equal(part.rows, positions + 100)
    assert np.array_equal(part.weights, positions + 1.0)
    assert np.array_equal(part.nearest[:, 0], part.rows)
    blocks = [block for _, block in part.blocks()]
    expected = on_disk[positions + 100].astype(np.float32)
    assert np.array_equal(np.concatenate([expected[:0], *blocks]), expected)
    assert np.array_equal(part.take(np.arange(len(part))), expected)


def test_mean_is_weighted(rows):
    weights = np.arange(5000) + 1.0
    pool = replace(Pool.whole(rows), weights=weights, block_rows=999)
    assert np.allclose(pool.mean(), np.average(rows, axis=0, weights=weights), atol=1e-6)


@pytest.mark.parametrize("count", [-1, 0, 5])
def test_impossible_count_is_refused_with_what_to_change(count):
    with pytest.raises(ConfigError, match=rf"count={count} of 4 rows.*`pool\.count`"):
        require_count(count, 4)


@pytest.mark.parametrize("unfit", [np.nan, np.inf, 0.0, 0.9, 2.0])
def test_row_that_is_not_of_unit_length_is_named(unfit):
    block = np.eye(3)
    block[1, 1] = unfit
    with pytest.raises(DataError, match=r"Row 41 of the pool has length"):
        require_unit_rows(block, np.arange(40, 43))


def test_float16_is_of_unit_length_enough(rows):
    require_unit_rows(rows.astype(np.float16), np.arange(len(rows)))
