"""Input stages: prompts, their division into rounds, answers, and a labelled seed."""

from pathlib import Path

import polars as pl

from prefopt_core.ground.tables import in_shards
from prefopt_core.inputs.answers import read_answers
from prefopt_core.inputs.drawing import draw
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.settings import AnswersConfig, PromptsConfig, SeedConfig
from tasks.stage import stage


@stage("load_prompts", table="prompts", version=2)
def load_prompts(config: PromptsConfig, seed: int) -> list[pl.DataFrame]:
    """Read or generate the prompts, in shards of `config.shard_size`."""
    return in_shards(config.member()(seed), config.shard_size)


@stage("draw_prompts", table="prompts", version=1)
def draw_prompts(
    prompts: pl.DataFrame,
    *,
    first: int,
    count: int | None,
    purpose: str,
    shard_size: int,
    seed: int,
    used: list[pl.DataFrame] | None = None,
) -> list[pl.DataFrame]:
    """Take `count` prompts (None: the rest) from place `first` of an order drawn from `seed`."""
    drawn = draw(prompts, first, count, purpose, seed=seed, used=used or ())
    return in_shards(drawn, shard_size)


@stage("load_answers", table="candidates", version=1)
def load_answers(config: AnswersConfig) -> pl.DataFrame:
    """Read what a policy answered, from a file."""
    return read_answers(Path(config.path))


@stage("load_preferences", table="preferences", version=2)
def load_preferences(config: SeedConfig) -> pl.DataFrame:
    """Read a labelled seed: existing preference pairs."""
    return read_preferences(Path(config.path), config.column)
