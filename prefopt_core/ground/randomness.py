"""Random number generators, seeded by (seed, purpose, id): made here and nowhere else."""

import hashlib

import numpy as np


def rng_for(seed: int, *path: str) -> np.random.Generator:
    """Return a generator that depends on `seed` and `path` only, never on what ran before.

    >>> rng_for(0, "selection", "p1").integers(100) == rng_for(0, "selection", "p1").integers(100)
    np.True_
    """
    return np.random.default_rng([seed, seed_for(*path)])


def seed_for(*path: str) -> int:
    """Return an integer below 2⁶³ that depends on `path` only.

    >>> seed_for("training", "round 1") == seed_for("training", "round 1")
    True
    """
    digest = hashlib.sha256("/".join(path).encode()).digest()
    return int.from_bytes(digest[:8]) >> 1
