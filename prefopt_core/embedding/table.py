"""Embedding on tables: `candidates` or `prompts` in, `embeddings` or `prompt_embeddings` out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.ground.ids import last_content, quoted
from prefopt_core.ground.tables import empty
from prefopt_core.ground.vectors import pack
from prefopt_core.models.encoder import encoder_positions
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

MOST_COUNTED = 4096
"""Responses of a table whose tokens are counted: a second's work."""


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


def unread_of(candidates: Artifact, store: Store, config: EmbeddingConfig) -> str | None:
    """Say the same as `unread` of a stored table, of which no more is read than is counted."""
    seen = candidates.first(MOST_COUNTED)
    texts = store.read(seen, ["candidate_id", "response"])
    return unread(texts, config, more=seen.rows < candidates.rows)


def unread(candidates: pl.DataFrame, config: EmbeddingConfig, *, more: bool = False) -> str | None:
    """Say how many distinct responses the embedder does not read to their end.

    Args:
        candidates: Table `candidates`, or its columns `candidate_id` and `response`; of large ones
            the first `MOST_COUNTED` responses are counted.
        config: Which embedder, and its settings.
        more: Whether there are others behind them.

    Returns:
        A sentence or two, with settings between backticks; None if it reads all, or nobody knows.
    """
    if config.embedder != "sentence-transformers":
        return None
    from prefopt_core.embedding.sentence_encoder import count_unread

    model, wanted = config.params["model"], config.params["max_length"]
    texts = candidates.unique("candidate_id", keep="first", maintain_order=True)["response"]
    looked_at = texts.head(MOST_COUNTED).to_list()
    counted = count_unread(looked_at, model=model, max_length=wanted)
    if counted is None or not counted[0]:
        return None
    count, read = counted
    limited = read < wanted or read == encoder_positions(model)
    which = "the first " * (more or len(looked_at) < len(texts))
    return (
        f"{count:,} of {which}{len(looked_at):,} responses are longer than the {read} tokens that "
        "the encoder reads: what comes behind them does not count where responses are compared. "
        + (
            "Name an encoder with more positions (`embedding.params.model`), or "
            "`embedding.embedder: hashing`, which reads all."
            if limited
            else "Raise `embedding.params.max_length`."
        )
    )


def _vectors(texts: Sequence[str], config: EmbeddingConfig) -> npt.NDArray[np.float32]:
    if config.by_policy:
        raise ConfigError(
            "Embedder 'policy' reads responses as the policy of a run, and here is none. Use it as "
            "`embedding.embedder` of `align` or `aepo`; here 'hashing' or 'sentence-transformers'."
        )
    vectors: npt.NDArray[np.float32] = config.member()(texts)
    require_finite(vectors, texts, config)
    return vectors


def require_finite(
    vectors: npt.NDArray[np.float32], texts: Sequence[str], config: EmbeddingConfig
) -> None:
    """Refuse vectors of texts that are not finite.

    Raises:
        DataError: One is not.
    """
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        raise DataError(
            f"Embedder {config.embedder!r} gave a vector that is not finite for the text "
            f"{quoted(texts[row])}. Use another `embedding.embedder` or model."
        )
