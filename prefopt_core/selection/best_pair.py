"""The pair of the largest value, or at a quantile; of equals one by lot: for acquisition rules."""

from typing import Annotated

import numpy as np
from pydantic import Field

from prefopt_core.arrays import FloatArray
from prefopt_core.selection.candidates import Estimated

Width = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""β >= 0: how many spreads s the bounds u = r + βs and l = r - βs lie from the reward r."""

Quantile = Annotated[float, Field(ge=0, le=1)]
"""Share of the pairs whose values are larger: 0 takes the largest, 1 the smallest."""

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


def pair_at(quantile: float, values: FloatArray, rng: np.random.Generator) -> list[int]:
    """Find two distinct indices at a place in the order of all values, the largest first.

    Args:
        quantile: Share of the N(N - 1) ordered pairs before that place.
        values: (N, N), the worth of asking about i and j; the diagonal is ignored. N >= 2.
        rng: Draws among pairs of the value that stands there.

    Returns:
        Two indices, ascending.

    >>> pair_at(0.5, np.array([[0.0, 6.0, 1.0], [5.0, 0.0, 3.0], [2.0, 4.0, 0.0]]), rng=None)
    [1, 2]
    """
    ordered = np.sort(values[~np.eye(len(values), dtype=bool)])[::-1]
    wanted = ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]
    return best_pair(-np.abs(values - wanted), rng)


def optimistic(candidates: Estimated, beta: float) -> FloatArray:
    """(N, N) u_i - l_j: by how much i may be better than j, with bounds r ± βs."""
    r, s = candidates.rewards, candidates.spreads
    return (r + beta * s)[:, None] - (r - beta * s)


def first_by_lot(values: FloatArray, rng: np.random.Generator) -> int:
    """The index of the largest value; of equal ones, an index drawn from `rng`."""
    largest = values.max()
    scale = np.abs(values[np.isfinite(values)]).max(initial=0.0)
    equals = np.flatnonzero(values >= largest - TIE * scale)
    return int(equals[0] if len(equals) == 1 else rng.choice(equals))
