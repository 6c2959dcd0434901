"""Embedding on tables: `candidates` or `prompts` in, `embeddings` or `prompt_embeddings` out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import last_content, quoted
from prefopt_core.ground.tables import empty
from prefopt_core.ground.vectors import pack


def embed_candidates(candidates: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once: at most N encoder passes per prompt.

    Args:
        candidates: Table `candidates`.
        config: Which embedder, and its settings.

    Returns:
        Table `embeddings`.

    Raises:
        DataError: The embedder gave a vector that is not finite.
    """
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    if distinct.is_empty():
        return empty("embeddings")
    vector = pack(_vectors(distinct["response"].to_list(), config))
    return distinct.select("candidate_id").with_columns(vector=vector)


def embed_prompts(prompts: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed the last message of every prompt: what the user asks.

    Args:
        prompts: Table `prompts`.
        config: Which embedder, and its settings.

    Returns:
        Table `prompt_embeddings`.

    Raises:
        DataError: The embedder gave a vector that is not finite.
    """
    if prompts.is_empty():
        return empty("prompt_embeddings")
    texts = prompts.select(last_content("prompt")).to_series()
    vector = pack(_vectors(texts.to_list(), config))
    return prompts.select("prompt_id").with_columns(vector=vector)


def _vectors(texts: Sequence[str], config: EmbeddingConfig) -> npt.NDArray[np.float32]:
    vectors = config.member()(texts)
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise DataError(
            f"Embedder {config.embedder!r} gave a vector that is not finite for the text "
            f"{quoted(texts[row])}. Use another `embedding.embedder` or model."
        )
    return vectors
