"""Many prompts in, those that deserve the budget out: embed, index, choose."""

from prefopt_core.artifacts import Artifact
from prefopt_core.config import PoolConfig
from tasks.pool import choose_prompts, embed_prompts, index_prompts, take_prompts


def deserving(prompts: Artifact, config: PoolConfig, shard_size: int, seed: int) -> Artifact:
    """The `config.count` prompts to generate for, the most wanted first."""
    embeddings = embed_prompts(prompts, config.embedding)
    index = index_prompts(embeddings, seed)
    return take_prompts(prompts, choose_prompts(prompts, index, config, seed), shard_size)
