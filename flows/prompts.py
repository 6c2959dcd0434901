"""Which prompts go where: held out for evaluation first, then each round its own, none twice."""

from prefopt_core.experiments.flows import Experiment
from prefopt_core.pool.points import require_count
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.inputs import draw_prompts
from tasks.pool import choose_prompts, embed_prompts, index_prompts, take_prompts

POOL_SHARD = 4096
"""Prompts per shard of a pool: it has many, and an embedding is little work."""


class Prompts:
    """The prompts of a run, dealt out.

    Attributes:
        held_out: Those of `evaluation`; None without it.
    """

    def __init__(self, config: Experiment, every: Artifact, used: Artifact | None = None) -> None:
        """Take the held-out prompts of `every`; those of the pairs in `used` are never taken."""
        self._config, self._every, self._used = config, every, used
        self._chosen: Artifact | None = None
        self.held_out: Artifact | None = None
        if config.evaluation:
            shard_size = config.prompts.shard_size
            self.held_out = self._draw(0, config.test_prompts, "evaluation", shard_size)
        if config.pool:
            self._every = self._draw(config.test_prompts, None, "pool", POOL_SHARD)
            self._chosen, _ = deserving(self._every, config.pool, config.seed)

    def draw(self, first: int, count: int | None, purpose: str) -> Artifact:
        """Prompts for one purpose, disjoint from those of others; of a pool the most wanted."""
        shard_size = self._config.prompts.shard_size
        if self._chosen:
            return take_prompts(
                self._every, self._chosen, first=first, count=count, shard_size=shard_size
            )
        return self._draw(self._config.test_prompts + first, count, purpose, shard_size)

    def _draw(self, first: int, count: int | None, purpose: str, shard_size: int) -> Artifact:
        return draw_prompts(
            self._every,
            first=first,
            count=count,
            purpose=purpose,
            shard_size=shard_size,
            seed=self._config.seed,
            used=self._used,
        )


def deserving(prompts: Artifact, config: PoolConfig, seed: int) -> tuple[Artifact, Folder]:
    """Which `config.count` of the prompts to generate for, and the index they were chosen by."""
    if isinstance(prompts, Artifact):  # a plan may not know yet
        require_count(config.count, prompts.rows, "prompts")
    index = index_prompts(embed_prompts(prompts, config.embedding), seed)
    return choose_prompts(prompts, index, config, seed), index
