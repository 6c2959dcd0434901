"""Generation stage: candidate responses to prompts."""

from pathlib import Path

import polars as pl

from prefopt_core.generation import table
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.settings import asks_a_server
from tasks.stage import stage


@stage("generate", table="candidates", version=2, by_shard=True, local=asks_a_server)
def generate_candidates(
    prompts: pl.DataFrame, policy: Path | None, config: GenerationConfig, seed: int
) -> pl.DataFrame:
    """Sample `config.n` responses of `policy` to every prompt."""
    return table.generate_candidates(prompts, policy, config, seed=seed)
