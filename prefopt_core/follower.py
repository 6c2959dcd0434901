"""SSAPO's follower: the worst margins that self-made labels may have had, arXiv:2502.18099.

A judge's margin ξ says by how much a pair's chosen response is the better one. The follower may
move the N margins by ε on average, and moves them so that a convex falling loss of them is largest.

The paper solves a linear programme over tangents of the loss. None is needed: what moving a margin
from ξ to y gains for each unit of distance, (ℓ(y) - ℓ(ξ)) / (ξ - y), is largest at the lowest y
and, as ℓ is convex, for the smallest ξ. So the smallest margins go to the lower end, one after the
other, until ε is used; the last one in part. That holds for ℓ as for any of its tangent forms.
"""

import numpy as np

from prefopt_core.arrays import FloatArray


def worst_shares(margins: FloatArray, *, radius: float, lowest: float) -> FloatArray:
    """How much of each pair the follower moves to the lower end.

    Args:
        margins: (N,) ξ; an infinite one is never moved.
        radius: ε >= 0, the mean distance by which margins may be moved (Wasserstein-1), in their
            units; at 0 none is.
        lowest: The lower end, in the same units. Without one the supremum is reached by nobody.

    Returns:
        (N,) in [0, 1], of which at most one lies between; 0 for margins at or below the lower end.

    >>> worst_shares(np.array([3.0, 1.0, 2.0]), radius=0.5, lowest=0.0)
    array([0.  , 1.  , 0.25])
    """
    distances = np.where(np.isfinite(margins), np.maximum(margins - lowest, 0.0), 0.0)
    order = np.argsort(margins, kind="stable")
    used = np.cumsum(distances[order]) - distances[order]  # before it is this one's turn
    left = np.empty_like(distances)
    left[order] = radius * len(margins) - used
    shares = np.divide(left, distances, out=np.zeros_like(distances), where=distances > 0)
    return np.clip(shares, 0.0, 1.0)
