"""Several policies' responses to the same prompts: what is asked about them, and who wins."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.evaluation import EVALUATORS, Games
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.randomness import seed_for

FIGURES = {
    "policy": pl.String(),
    "reference": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "standard_error": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
}
"""Columns of what evaluators say."""


def together(responses: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The responses of several policies to the prompts that all of them answered; equal ones once.

    Args:
        responses: Tables `candidates`.

    Returns:
        Table `candidates`, of which `sample` numbers the texts of a prompt.

    Raises:
        DataError: They have no prompt in common.
    """
    shared = responses[0].select("prompt_id").unique()
    for other in responses[1:]:
        shared = shared.join(other.select("prompt_id").unique(), "prompt_id")
    if shared.is_empty():
        raise DataError(
            "The policies have answered no prompt in common. Give responses to the same prompts: "
            "texts of prompts must be equal, blanks included."
        )
    every = pl.concat(responses).join(shared, "prompt_id", how="semi")
    distinct = every.unique(["prompt_id", "candidate_id"], keep="first", maintain_order=True)
    number = pl.int_range(pl.len(), dtype=pl.Int32).over("prompt_id")
    return distinct.sort("prompt_id", maintain_order=True).with_columns(sample=number)


def evaluated(games: Games, names: Sequence[str], *, seed: int) -> pl.DataFrame:
    """What evaluators say of all policies but the reference.

    Args:
        games: Between all.
        names: Of the evaluators.
        seed: Root of their resampling.

    Returns:
        Columns `FIGURES`, policy by policy.
    """
    rows = [
        (f.policy, games.reference, name, f.value, f.error, f.low, f.high, f.n)
        for name in names
        for f in EVALUATORS[name](games, seed_for(str(seed), name))
    ]
    return pl.DataFrame(rows, schema=FIGURES, orient="row").sort("policy", maintain_order=True)
