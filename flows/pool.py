"""Many prompts in, those that deserve the budget out: embed, index, choose."""

from prefopt_core.pool.points import require_count
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.store.artifacts import Artifact, Model
from tasks.pool import choose_prompts, embed_prompts, index_prompts

SHARD_SIZE = 4096
"""Prompts per shard of a pool: it has many, and an embedding is little work."""


def deserving(prompts: Artifact, config: PoolConfig, seed: int) -> tuple[Artifact, Model]:
    """Which `config.count` of the prompts to generate for, and the index they were chosen by."""
    if isinstance(prompts, Artifact):  # a plan may not know yet
        require_count(config.count, prompts.rows, "prompts")
    index = index_prompts(embed_prompts(prompts, config.embedding), seed)
    return choose_prompts(prompts, index, config, seed), index
