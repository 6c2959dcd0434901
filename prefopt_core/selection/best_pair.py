"""The pair of the largest value, and the first of equals by lot: shared by acquisition rules."""

from typing import Annotated

import numpy as np
from pydantic import Field

from prefopt_core.arrays import FloatArray

Width = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""β >= 0: how many spreads s the bounds u = r + βs and l = r - βs lie from the reward r."""

TIE = 1e-9  # values that differ by less, relative to the largest, are equal


def best_pair(values: FloatArray, rng: np.random.Generator) -> list[int]:
    """Find the two distinct indices of the largest value; of equal ones a pair drawn from `rng`.

    Args:
        values: (N, N), the worth of asking about i and j; the diagonal is ignored. N >= 2.
        rng: Breaks ties. Without ties nothing is drawn.

    Returns:
        Two indices, ascending.

    >>> best_pair(np.array([[9.0, 1.0, 2.0], [1.0, 9.0, 3.0], [2.0, 1.0, 9.0]]), rng=None)
    [1, 2]
    """
    worth = np.maximum(values, values.T)[np.triu_indices(len(values), 1)]
    at = first_by_lot(worth, rng)
    i, j = (indices[at] for indices in np.triu_indices(len(values), 1))
    return [int(i), int(j)]


def first_by_lot(values: FloatArray, rng: np.random.Generator) -> int:
    """The index of the largest value; of equal ones, an index drawn from `rng`."""
    largest = values.max()
    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    equals = np.flatnonzero(values >= largest - TIE * scale)
    return int(equals[0] if len(equals) == 1 else rng.choice(equals))
