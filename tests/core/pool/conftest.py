"""Small pools whose right answers brute force can tell."""

import numpy as np
import pytest

from prefopt_core.pool import Pool


def unit(rows):
    rows = np.asarray(rows, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def clustered(n, d=24, clusters=12, copies=0.2, seed=0):
    """Unit rows in clusters; a share of them repeat others, half exactly, half nearly."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(clusters, d))[rng.integers(clusters, size=n)]
    rows = rows + rng.normal(size=(n, d)) * rng.uniform(0.2, 1, (n, 1))
    rows = unit(rows)
    copied = rng.permutation(n)[: int(copies * n)]
    rows[copied] = rows[rng.integers(n, size=len(copied))]
    near = copied[::2]
    rows[near] += 0.1 / np.sqrt(d) * rng.normal(size=(len(near), d))
    return unit(rows)


@pytest.fixture(scope="session")
def rows():
    """(5000, 24): more than one list holds."""
    return clustered(5000)


@pytest.fixture
def pool(rows):
    return Pool.whole(rows)


@pytest.fixture
def on_disk(rows, tmp_path):
    """The same rows as float16 in a file."""
    np.save(tmp_path / "rows.npy", rows.astype(np.float16))
    return np.load(tmp_path / "rows.npy", mmap_mode="r")
