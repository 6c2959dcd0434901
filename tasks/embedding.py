"""Embedding stage: a vector for every distinct response."""

import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_candidates as embed
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage(
    "embed",
    table="embeddings",
    version=1,
    by_shard=True,
)
def embed_candidates(candidates: Artifact, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once."""
    return embed(Store.open().read(candidates), config)
