"""Embedding stage: a vector for every distinct response."""

import polars as pl

from prefopt_core.embedding import table
from prefopt_core.embedding.settings import EmbeddingConfig
from tasks.stage import stage


@stage("embed", table="embeddings", version=1, by_shard=True)
def embed_candidates(candidates: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once."""
    return table.embed_candidates(candidates, config)
