"""Summary of the rows chosen from a pool, as lines for a terminal."""

import numpy as np
import polars as pl

from prefopt_core.ground.randomness import rng_for
from prefopt_core.pool.coverage import Coverage, coverage
from prefopt_core.pool.points import Pool, PositionArray

MEASURED = 100_000  # rows of the pool that coverage is measured on, at most
SHOWN = 20  # strata that get a line of their own, at most


def summary(pool: Pool, chosen: pl.DataFrame, seed: int) -> list[str]:
    """Coverage beside that of as many rows at random, certificates, and counts by stratum.

    Args:
        pool: All rows.
        chosen: Table `choices` of them.
        seed: Root of the rows that are drawn at random.

    Returns:
        One text per line.
    """
    return [*_figures(pool, chosen, seed), *_proofs(chosen)]


def _figures(pool: Pool, chosen: pl.DataFrame, seed: int) -> list[str]:
    """Coverage of the chosen rows, beside that of as many rows at random."""
    rng = rng_for(seed, "pool", "measure")
    seen = rng.choice(len(pool), size=min(len(pool), MEASURED), replace=False)
    at_random = rng.choice(len(pool), size=chosen.height, replace=False)
    ours, theirs = (_coverage(pool, rows, seen) for rows in (chosen["row"].to_numpy(), at_random))
    lines = [f"{'':<22}{'chosen':>10}{'at random':>11}"]
    for title, name, form in (
        ("mean best cosine", "value", ".3f"),
        ("worst 1 - cosine", "radius", ".3f"),
        ("mean cosine of pairs", "mean_similarity", ".3f"),
        ("pairs of .95 or more", "near_duplicates", ","),
    ):
        a, b = getattr(ours, name), getattr(theirs, name)
        lines.append(f"{title:<22}{a:>10{form}}{b:>11{form}}")
    if len(seen) < len(pool):
        lines.append(f"The first two are measured on {len(seen):,} rows drawn at random.")
    return lines


def _coverage(pool: Pool, rows: PositionArray, seen: PositionArray) -> Coverage:
    """Coverage by `rows`, measured on the rows `seen` and on the chosen ones themselves."""
    together = np.concatenate([rows, np.setdiff1d(seen, rows)])
    return coverage(pool.subset(together), np.arange(len(rows)))


def _proofs(chosen: pl.DataFrame) -> list[str]:
    """The certificate; with strata, the count and the certificate of each, the largest first."""
    strata = chosen.group_by("stratum", "certificate", maintain_order=True).len()
    rows = strata.sort("len", descending=True, maintain_order=True).rows()
    if rows[0][0] == "":  # no strata
        return ["", rows[0][1]] if rows[0][1] else []
    width = max(22, *(len(name) + 1 for name, _, _ in rows[:SHOWN]))
    lines = ["", f"{'stratum':<{width}}{'chosen':>10}"]
    lines += [f"{name:<{width}}{n:>10,}  {proof}".rstrip() for name, proof, n in rows[:SHOWN]]
    left = len(rows) - SHOWN
    return lines + ([f"… and {left:,} smaller ones"] if left > 0 else [])
