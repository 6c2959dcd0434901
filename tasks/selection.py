"""Selection stages: which k of the N responses to every prompt are labelled."""

import polars as pl

from prefopt_core.selection import table
from prefopt_core.selection.settings import SelectionConfig
from tasks.stage import stage


@stage("select", table="selections", version=2, by_shard=True)
def select_responses(
    candidates: pl.LazyFrame, embeddings: pl.DataFrame | None, config: SelectionConfig, seed: int
) -> pl.DataFrame:
    """Keep `config.k` of the N responses to every prompt, before any of them is labelled."""
    return table.select_responses(candidates, embeddings, config, seed=seed)


@stage("select_pairs", table="selections", version=1, by_shard=True)
def select_pairs(
    candidates: pl.LazyFrame,
    embeddings: pl.DataFrame | None,
    estimates: pl.DataFrame,
    config: SelectionConfig,
    seed: int,
) -> pl.DataFrame:
    """Keep the two responses to every prompt that are worth comparing, by table `estimates`."""
    return table.select_responses(candidates, embeddings, config, estimates, seed=seed)
