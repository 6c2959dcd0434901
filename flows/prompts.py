"""Dividing the prompts of a run: held out for evaluation, then disjoint sets for the rounds."""

from collections.abc import Sequence

from prefopt_core.experiments.base import Experiment
from prefopt_core.ground.errors import ConfigError
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
        drawn: Those of the rounds so far, a table a draw.
    """

    def __init__(
        self,
        config: Experiment,
        every: Artifact,
        used: Sequence[Artifact] = (),
        held_out: Artifact | None = None,
    ) -> None:
        """Set the held-out prompts aside.

        Args:
            config: Its sections `prompts`, `evaluation` and `pool`.
            every: Table `prompts`.
            used: Tables with `prompt_id` of prompts to leave out.
            held_out: Those of an earlier run; None: they are drawn from `every`.

        Raises:
            ConfigError: `evaluation` wants another number of prompts than are held out.
        """
        self._config, self._every = config, every
        self._used = [*used, *([held_out] if held_out else [])]
        self._chosen: Artifact | None = None
        self._first = 0 if held_out else config.test_prompts
        self.held_out: Artifact | None = None
        self.drawn: list[Artifact] = []
        if config.evaluation:
            _check_held_out(held_out, config.test_prompts)
            shard_size = config.prompts.shard_size
            self.held_out = held_out or self._draw(0, self._first, "evaluation", shard_size)
        if config.pool:
            self._every = self._draw(self._first, None, "pool", POOL_SHARD)
            self._chosen, _ = choose_from_pool(self._every, config.pool, config.seed)

    def draw(self, first: int, count: int | None, purpose: str) -> Artifact:
        """Prompts for one purpose, disjoint from those of others; from a pool in order of rank."""
        shard_size = self._config.prompts.shard_size
        if self._chosen:
            taken = take_prompts(
                self._every, self._chosen, first=first, count=count, shard_size=shard_size
            )
        else:
            taken = self._draw(self._first + first, count, purpose, shard_size)
        self.drawn.append(taken)
        return taken

    def _draw(self, first: int, count: int | None, purpose: str, shard_size: int) -> Artifact:
        return draw_prompts(
            self._every,
            first=first,
            count=count,
            purpose=purpose,
            shard_size=shard_size,
            seed=self._config.seed,
            used=self._used or None,
        )


def _check_held_out(held_out: Artifact | None, wanted: int) -> None:
    if held_out and held_out.rows != wanted:
        raise ConfigError(
            f"evaluation.prompts is {wanted}: the run that this one continues holds out "
            f"{held_out.rows}, which stay the same. Set it to {held_out.rows}, or give `continues` "
            "another name."
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
