"""Dividing the prompts of a run: held out for evaluation, then disjoint sets for the rounds."""

from prefopt_core.experiments.base import Experiment
from prefopt_core.pool.points import require_count
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.inputs import draw_prompts
from tasks.pool import choose_prompts, embed_prompts, index_prompts, take_prompts

POOL_SHARD = 4096
"""Prompts per shard of a pool: many, as embedding one takes little time."""


class Prompts:
    """The prompts of a run, divided into disjoint sets.

    Attributes:
        held_out: The prompts of `evaluation`; None without that section.
    """

    def __init__(self, config: Experiment, every: Artifact, used: Artifact | None = None) -> None:
        """Draw the held-out prompts from `every`; prompts of the pairs in `used` are left out."""
        self._config, self._every, self._used = config, every, used
        self._chosen: Artifact | None = None
        self.held_out: Artifact | None = None
        if config.evaluation:
            shard_size = config.prompts.shard_size
            self.held_out = self._draw(0, config.test_prompts, "evaluation", shard_size)
        if config.pool:
            self._every = self._draw(config.test_prompts, None, "pool", POOL_SHARD)
            self._chosen, _ = choose_from_pool(self._every, config.pool, config.seed)

    def draw(self, first: int, count: int | None, purpose: str) -> Artifact:
        """Prompts for one purpose, disjoint from those of others; from a pool in order of rank."""
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


def choose_from_pool(prompts: Artifact, config: PoolConfig, seed: int) -> tuple[Artifact, Folder]:
    """Choose `config.count` prompts: the table `choices`, and the search index it was made with.

    Raises:
        ConfigError: There are fewer prompts than `config.count`.
    """
    if isinstance(prompts, Artifact):  # while planning it may be a `Planned`
        require_count(config.count, prompts.rows, "prompts")
    index = index_prompts(embed_prompts(prompts, config.embedding), seed)
    return choose_prompts(prompts, index, config, seed), index
