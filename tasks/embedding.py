"""Embedding stage: a vector for every distinct response."""

import polars as pl

from prefopt_core.embedding import table
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.store.artifacts import Artifact
from tasks.session import current_store, notice, planning
from tasks.stage import stage


@stage("embed", table="embeddings", version=1, by_shard=True)
def embed_candidates(candidates: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once."""
    return table.embed_candidates(candidates, config)


def warn_of_unread(candidates: Artifact, config: EmbeddingConfig | None) -> None:
    """Tell of responses that the embedder does not read to their end; nothing while planning."""
    if config is None or planning():
        return
    if text := table.unread_of(candidates, current_store(), config):
        notice(text)
