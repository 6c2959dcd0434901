"""The figures of a selection against their definitions."""

from dataclasses import replace

import numpy as np
import pytest

from prefopt_core.pool import Pool
from prefopt_core.pool.coverage import coverage


@pytest.mark.parametrize(("tile", "block_rows"), [(1, 13), (1000, 999), (2**22, 8192)])
def test_figures_are_their_definitions_whatever_the_blocks(rows, tile, block_rows, monkeypatch):
    monkeypatch.setattr("prefopt_core.pool.coverage.TILE", tile)
    some, chosen = rows[:400], np.arange(0, 400, 5)
    weights = np.arange(400) + 1.0
    pool = replace(Pool.whole(some), weights=weights, block_rows=block_rows)
    figures = coverage(pool, chosen, threshold=0.8)
    similarity = some.astype(float) @ some.astype(float).T
    best = similarity[:, chosen].max(axis=1)
    pairs = similarity[np.ix_(chosen, chosen)][np.triu_indices(len(chosen), 1)]
    assert figures.value == pytest.approx(np.average(np.maximum(best, 0), weights=weights))
    assert figures.radius == pytest.approx(1 - best.min(), abs=1e-6)
    assert figures.mean_similarity == pytest.approx(pairs.mean(), abs=1e-6)
    assert figures.near_duplicates == (pairs >= 0.8).sum() > 0


def test_one_row_has_no_pairs():
    figures = coverage(Pool.whole(np.array([[1.0], [-1.0]])), np.array([0]))
    assert (figures.value, figures.radius) == (0.5, 2.0)
    assert (figures.mean_similarity, figures.near_duplicates) == (0.0, 0)
