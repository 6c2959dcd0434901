"""Embedding stages: a vector for every distinct response."""

from pathlib import Path

import polars as pl

from prefopt_core.embedding import by_policy, table
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.coming import Coming
from tasks.session import current_session, notice, planning
from tasks.stage import stage


@stage("embed", table="embeddings", version=2, by_shard=True)
def embed_candidates(candidates: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed every distinct response once."""
    return table.embed_candidates(candidates, config)


@stage("embed_by_policy", table="embeddings", version=1, by_shard=True)
def embed_by_policy(
    candidates: pl.DataFrame, prompts: pl.DataFrame, policy: Path, config: EmbeddingConfig
) -> pl.DataFrame:
    """Embed every distinct response once, in the policy's own hidden space."""
    return by_policy.embed_by_policy(candidates, prompts, policy, config)


def warn_of_unread(candidates: Artifact, config: EmbeddingConfig | None) -> None:
    """Tell of responses that the embedder does not read to their end; nothing while planning.

    Of those that are still to come as soon as they are there, so before labels of them are bought.
    """
    if config is None or planning():
        return
    within = current_session()

    def warn(made: Artifact | Folder) -> None:
        assert isinstance(made, Artifact)
        if text := table.unread_of(made, within.opened(), config):
            notice(text, within)

    if isinstance(candidates, Coming):
        candidates.then(warn)
    else:
        warn(candidates)
