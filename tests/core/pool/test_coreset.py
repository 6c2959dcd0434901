"""k-centre: the lazy method picks what the plain one picks."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.pool import Pool, coreset
from prefopt_core.pool.coreset import select

RNG = np.random.default_rng(0)


def plain(rows, count):
    """Gonzalez, one product with all rows per pick; and the radius reached."""
    picked = [int((rows @ rows.mean(axis=0, dtype=np.float64)).argmax())]
    best = np.full(len(rows), -np.inf)
    while True:
        best = np.maximum(best, rows @ rows[picked[-1]])
        best[picked] = np.inf
        if len(picked) == count:
            return picked, 1 - min(best.min(), 1)
        picked.append(int(best.argmin()))


@pytest.mark.parametrize("front", [2, 50, 600, 8192])
@pytest.mark.parametrize("block_rows", [64, 8192])
def test_same_picks_as_the_plain_method(rows, front, block_rows, monkeypatch):
    monkeypatch.setattr(coreset, "FRONT", front)
    some = rows[:2500]
    picked = select(replace(Pool.whole(some), block_rows=block_rows), 300, RNG)
    expected, radius = plain(some, 300)
    assert picked.positions.tolist() == expected
    assert f"= {radius:.4f}, no set of 300 below {radius / 4:.4f}" in picked.certificate


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([-1, 1])), min_size=1, max_size=30),
    st.integers(1, 5),
    st.data(),
)
def test_ties_go_to_the_first_as_in_the_plain_method(corners, front, data):
    rows = np.array([sign * np.eye(4)[axis] for axis, sign in corners], dtype=np.float32)
    count = data.draw(st.integers(1, len(rows)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coreset, "FRONT", front)
        picked = select(Pool.whole(rows), count, RNG)
    assert picked.positions.tolist() == plain(rows, count)[0]


def test_a_file_of_float16_is_read_as_the_same_numbers_in_memory(on_disk):
    # Not the same picks: products of other shapes are rounded otherwise on some processors.
    picked, rows = select(Pool.whole(on_disk), 100, RNG).positions, on_disk.astype(np.float32)
    assert picked[0] == plain(rows, 1)[0][0]
    best = np.full(len(rows), -np.inf)
    for before, after in pairwise(picked.tolist()):
        best = np.maximum(best, rows @ rows[before])
        best[before] = np.inf
        assert best[after] == pytest.approx(best.min(), abs=1e-6)
