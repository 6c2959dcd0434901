"""Pool stages: choose prompts, or rows of a file of embeddings, to spend the budget on."""

from pathlib import Path

import polars as pl

from prefopt_core.embedding import table as embedding
from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.ground.tables import in_shards
from prefopt_core.inputs.settings import StratifiedConfig, VectorsConfig
from prefopt_core.inputs.vectors import strata_of_rows
from prefopt_core.pool import table
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.store.opening import Shards
from prefopt_core.store.running import fresh_folder
from tasks.stage import folder_stage, stage


@stage("embed_prompts", table="prompt_embeddings", version=2, by_shard=True)
def embed_prompts(prompts: pl.DataFrame, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed the last message of every prompt."""
    return embedding.embed_prompts(prompts, config)


@folder_stage("index_prompts", version=2)
def index_prompts(embeddings: Shards, seed: int) -> Path:
    """Build a search index of the embeddings of all prompts."""
    return table.index_embeddings(embeddings, embeddings.rows, fresh_folder("index"), seed=seed)


@folder_stage("index_file", version=2)
def index_file(config: VectorsConfig, seed: int) -> Path:
    """Build a search index of the vectors of a file."""
    return table.index_file(config, fresh_folder("index"), seed=seed)


@stage("choose_prompts", table="choices", version=2)
def choose_prompts(
    prompts: pl.LazyFrame, index: Path, config: PoolConfig, seed: int
) -> pl.DataFrame:
    """Choose `config.count` prompts."""
    return table.choose_rows(index, table.strata_of_prompts(prompts), config, seed=seed)


@stage("choose_rows", table="choices", version=2)
def choose_rows(file: StratifiedConfig, index: Path, config: PoolConfig, seed: int) -> pl.DataFrame:
    """Choose `config.count` rows of a file of embeddings."""
    return table.choose_rows(index, strata_of_rows(file), config, seed=seed)


@stage("take_prompts", table="prompts", version=1)
def take_prompts(
    prompts: pl.DataFrame, choices: pl.DataFrame, *, first: int, count: int | None, shard_size: int
) -> list[pl.DataFrame]:
    """Take `count` chosen prompts (None: the rest) from rank `first`, the most wanted first."""
    return in_shards(table.take_prompts(prompts, choices, first, count), shard_size)
