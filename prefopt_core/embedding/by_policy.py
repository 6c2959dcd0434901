"""Embedding by the policy, table in, table out: responses behind their prompts."""

from pathlib import Path

import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import require_finite
from prefopt_core.ground.tables import empty
from prefopt_core.ground.vectors import pack
from prefopt_core.models.positions import refuse_longer
from prefopt_core.models.tokenised import sequences_of


def embed_by_policy(
    candidates: pl.DataFrame, prompts: pl.DataFrame, model: Path, config: EmbeddingConfig
) -> pl.DataFrame:
    """Embed every distinct response behind its prompt, in the policy's own hidden space.

    Args:
        candidates: Table `candidates`. Responses without token ids are tokenised for the policy.
        prompts: Table `prompts`.
        model: Folder of the policy.
        config: The embedder `policy`, and its settings.

    Returns:
        Table `embeddings`.

    Raises:
        DataError: A prompt and its response are longer than the policy, or a vector is not finite.
    """
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    if distinct.is_empty():
        return empty("embeddings")
    sequences = sequences_of(distinct, prompts, model)
    lengths = [len(prompt) + len(response) for prompt, response in sequences]
    remedy = "Leave out long prompts, or generate fewer tokens."
    refuse_longer(lengths, model, "prompts with their response", remedy)
    vectors = config.member()(sequences, model)
    require_finite(vectors, distinct["response"].to_list(), config)
    return distinct.select("candidate_id").with_columns(vector=pack(vectors))
