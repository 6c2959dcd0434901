"""Input stages: prompts, their division into rounds, and a labelled seed."""

import polars as pl

from prefopt_core.ground.tables import in_shards
from prefopt_core.inputs.drawing import draw
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.settings import PromptsConfig, SeedConfig
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage("load_prompts", table="prompts", version=1)
def load_prompts(config: PromptsConfig, seed: int) -> list[pl.DataFrame]:
    """Read or make the prompts."""
    prompts = config.member()(seed)
    return in_shards(prompts, config.shard_size)


@stage("draw_prompts", table="prompts", version=1)
def draw_prompts(
    prompts: Artifact,
    first: int,
    count: int | None,
    purpose: str,
    shard_size: int,
    seed: int,
    used: Artifact | None = None,
) -> list[pl.DataFrame]:
    """Take `count` prompts (None: the rest) from place `first` of an order drawn from `seed`."""
    read = Store.open().read
    taken = read(used) if used else None
    drawn = draw(read(prompts), first, count, purpose, seed=seed, used=taken)
    return in_shards(drawn, shard_size)


@stage("load_preferences", table="preferences", version=1)
def load_preferences(config: SeedConfig) -> pl.DataFrame:
    """Read a labelled seed: pairs that somebody judged before."""
    return read_preferences(config)
