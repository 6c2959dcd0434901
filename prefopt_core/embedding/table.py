"""Embedding, table in, table out."""

import numpy as np
import polars as pl

from prefopt_core.config import EmbeddingConfig
from prefopt_core.embedding import EMBEDDERS
from prefopt_core.errors import DataError
from prefopt_core.tables import empty
from prefopt_core.vectors import pack


def embed_candidates(candidates: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once: at most N encoder passes per prompt."""
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    if distinct.is_empty():
        return empty("embeddings")
    vectors = EMBEDDERS[config.embedder](distinct["response"].to_list(), **config.params)
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise DataError(
            f"Embedder {config.embedder!r} gave a vector that is not finite for the response "
            f"{distinct['response'][row][:60]!r}. Use another `embedding.embedder` or model."
        )
    return distinct.select("candidate_id").with_columns(vector=pack(vectors))
