"""Choose the rows of a pool to label: merge near-duplicates, split over strata, run a strategy."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.randomness import rng_for
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.pool.lists import lists_of
from prefopt_core.pool.near_duplicates import leaders
from prefopt_core.pool.points import Pool, PositionArray, require_count, require_unit_rows
from prefopt_core.pool.strata import Rule, split_count


@dataclass(frozen=True, eq=False)
class ChosenRows:
    """The rows chosen, those most worth a label first.

    Strata are interleaved in proportion to their counts, so that the first m rows are split over
    the strata like all of them.

    Attributes:
        rows: (count,) rows of `Pool.vectors`, distinct.
        weights: (count,) how many rows each stands for: itself and its near-duplicates.
        certificates: Stratum → what is proven about its rows; "" is the pool without strata.
    """

    rows: PositionArray
    weights: FloatArray
    certificates: dict[str, str]


def choose(
    pool: Pool,
    count: int,
    strategy: str = "facility_location",
    params: Mapping[str, Any] | None = None,
    *,
    seed: int,
    near_duplicates: float | None = 0.95,
    strata: npt.NDArray[Any] | None = None,
    rule: Rule = "proportional",
) -> ChosenRows:
    """Choose the rows of a pool to label.

    Near-duplicates are merged into one row that carries their weight; the count is split over the
    strata; in each the strategy chooses.

    Args:
        pool: n rows.
        count: How many, at least 1 and at most as many as there are distinct rows.
        strategy: A name in `POOL_STRATEGIES`.
        params: The strategy's own settings, as `POOL_STRATEGIES.complete_params` leaves them.
        seed: Root of the randomness; a stratum's draw depends on this and its name only.
        near_duplicates: Cosine from which one row stands for another of its stratum, or None.
        strata: (n,) a label for every row; None if the pool is one.
        rule: How the count is split, see `strata.split_count`.

    Raises:
        ConfigError: `count` is below 1 or above the number of distinct rows, or `strategy`, `rule`
            or `near_duplicates` is unknown or out of range.
        DataError: A row is not of unit length or has no stratum, or `strata` has another length.
    """
    require_count(count, len(pool))
    select = POOL_STRATEGIES.bind(strategy, params or {})
    parts = _distinct_parts(pool, count, near_duplicates, strata, seed)
    sizes = np.array([len(part) for part in parts.values()])
    rows, weights, turns, certificates = [], [], [], {}
    for (name, part), share in zip(parts.items(), split_count(sizes, count, rule), strict=True):
        if share:
            picked = select(part, int(share), rng_for(seed, "pool", name))
            rows.append(part.rows[picked.positions])
            weights.append(part.weights[picked.positions])
            turns.append((np.arange(share) + 0.5) / share)
            certificates[name] = picked.certificate
    order = np.argsort(np.concatenate(turns), kind="stable")
    return ChosenRows(np.concatenate(rows)[order], np.concatenate(weights)[order], certificates)


def _distinct_parts(
    pool: Pool, count: int, threshold: float | None, strata: npt.NDArray[Any] | None, seed: int
) -> dict[str, Pool]:
    """Stratum → its rows without near-duplicates, checked: of unit length, `count` at least."""
    for at, block in pool.blocks():
        require_unit_rows(block, pool.rows[at])
    parts = {
        name: _distinct(part, threshold, rng_for(seed, "pool", "lists", name))
        for name, part in _parts(pool, strata)
    }
    distinct = sum(map(len, parts.values()))
    if count > distinct:
        raise ConfigError(
            f"Cannot choose count={count} of {distinct} distinct rows ({len(pool)} with "
            "near-duplicates): lower `pool.count`, raise `pool.near_duplicates`, or set it to null."
        )
    return parts


def _parts(pool: Pool, strata: npt.NDArray[Any] | None) -> Iterator[tuple[str, Pool]]:
    """Yield (name, rows) of every stratum, in the order of names; ("", all) without strata."""
    if strata is None:
        yield "", pool
        return
    if strata.shape != (len(pool),):
        raise DataError(f"Expected {len(pool)} strata, one for each row: {strata.shape}.")
    labels = strata.astype(str)
    unknown = labels == ""
    if unknown.any():
        raise DataError(
            f"Row {pool.rows[unknown.argmax()]} of the pool has no stratum, like {unknown.sum()} "
            "in all. Give every row one, for example 'other', or name no strata."
        )
    names, number, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    groups = np.split(np.argsort(number, kind="stable"), np.cumsum(sizes)[:-1])
    for name, positions in zip(names.tolist(), groups, strict=True):
        yield name, pool.subset(positions)


def _distinct(pool: Pool, threshold: float | None, rng: np.random.Generator) -> Pool:
    """Merge near-duplicates: the leader stays, with the sum of their weights."""
    if threshold is None:
        return pool
    nearest = lists_of(pool, rng)
    leader_of = leaders(pool, nearest, threshold)
    weights: FloatArray = np.bincount(leader_of, weights=pool.weights).astype(np.float64)
    kept = np.flatnonzero(weights)
    return replace(pool, nearest=nearest).subset(kept, weights[kept])
