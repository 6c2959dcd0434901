"""Near-duplicates: rows so similar that one of them can stand for all.

Leader clustering (Hartigan, "Clustering Algorithms", 1975) inside inverted lists: rows are walked
once, and each joins an earlier leader or becomes one.

Notation: n rows, τ the threshold.
"""

from collections import defaultdict

import numpy as np

from prefopt_core.ground.errors import ConfigError
from prefopt_core.pool.lists import members_and_visitors
from prefopt_core.pool.points import ListArray, Pool, PositionArray, Vectors, slices

CHUNK = 4096  # rows compared at once with as many others: 64 MB of similarities
LARGEST = 0.999  # float16 tells a row from its exact duplicate by up to this


def leaders(pool: Pool, nearest: ListArray, threshold: float) -> PositionArray:
    """Say which row stands for each row.

    A row joins the earliest leader with cosine >= τ that is registered in its home list; a leader
    registers in all its `probes` lists. So no row is removed without a kept row that similar, but
    two kept rows may be similar if they share no list.

    Args:
        pool: n rows.
        nearest: (n, probes), see `lists.nearest_lists`. More probes leave fewer near-duplicates.
        threshold: τ, a cosine, 0 < τ <= .999: beyond, float16 does not tell equal from similar.

    Returns:
        (n,) positions; a leader has its own, and every position named is a leader.

    Raises:
        ConfigError: τ is not within (0, .999].
    """
    if not 0 < threshold <= LARGEST:
        raise ConfigError(
            f"The near-duplicate threshold is {threshold}: it must be a cosine above 0 and at "
            f"most {LARGEST}. Set `pool.near_duplicates`, for example to 0.95, or to null."
        )
    leader_of = np.full(len(pool), -1)
    registered: dict[int, list[PositionArray]] = defaultdict(list)
    for number, positions, homes in members_and_visitors(nearest):
        for at in slices(homes, CHUNK):
            members = positions[at]
            known = np.concatenate([*registered[number], np.empty(0, dtype=np.int64)])
            leader_of[members] = _join(pool, members, known, threshold)
            _register(registered, nearest, members[leader_of[members] == members])
        del registered[number]  # all its members have their leader
    return leader_of


def _join(
    pool: Pool, members: PositionArray, known: PositionArray, threshold: float
) -> PositionArray:
    """(m,) the leader of each member: one of the `known` leaders, or a member."""
    rows = pool.take(members)
    leader_of = np.full(len(members), -1)
    for at in slices(len(known), CHUNK):
        open_ = np.flatnonzero(leader_of < 0)
        similar = rows[open_] @ pool.take(known[at]).T
        joins = similar.max(axis=1) >= threshold
        leader_of[open_[joins]] = known[at][(similar[joins] >= threshold).argmax(axis=1)]
    free = leader_of < 0
    leader_of[free] = members[free][_lead(rows[free], threshold)]
    return leader_of


def _lead(rows: Vectors, threshold: float) -> PositionArray:
    """(m,) for each of a few rows the index of the first leader among them it is similar to."""
    similar = rows @ rows.T
    np.fill_diagonal(similar, -np.inf)
    leader_of = np.arange(len(rows))
    waiting = similar.max(axis=1, initial=-np.inf) >= threshold  # the others lead only themselves
    for index in np.flatnonzero(waiting).tolist():
        if waiting[index]:
            joins = (similar[index] >= threshold) & waiting
            joins[index] = True
            leader_of[joins] = index
            waiting[joins] = False
    return leader_of


def _register(
    registered: dict[int, list[PositionArray]], nearest: ListArray, new: PositionArray
) -> None:
    """Add the new leaders to all lists that they probe, their home included."""
    lists = nearest[new]  # (m, probes)
    order = np.argsort(lists, axis=None, kind="stable")
    numbers, starts = np.unique(lists.ravel()[order], return_index=True)
    groups = np.split(new[order // max(1, lists.shape[1])], starts[1:])
    for number, group in zip(numbers.tolist(), groups, strict=False):
        registered[number].append(group)
