"""Pool stages: which prompts, or which rows of a file of embeddings, deserve the budget."""

from pathlib import Path

import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.embedding.table import embed_prompts as embed
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import in_shards
from prefopt_core.ground.vectors import halves
from prefopt_core.inputs.settings import VectorsConfig
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.pool.lists import build_index
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.pool.table import choose_rows as choose
from prefopt_core.pool.table import take_prompts as take
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.stage import fresh_folder
from prefopt_core.store.store import Store
from tasks.stage import model_stage, stage


@stage(
    "embed_prompts",
    table="prompt_embeddings",
    version=1,
    by_shard=True,
)
def embed_prompts(prompts: Artifact, config: EmbeddingConfig) -> pl.DataFrame:
    """Embed what every prompt asks."""
    return embed(Store.open().read(prompts), config)


@model_stage("index_prompts", version=1)
def index_prompts(embeddings: Artifact, seed: int) -> Path:
    """Lay out the embeddings of all prompts for searching."""
    store, folder = Store.open(), fresh_folder("index")
    shards = (embeddings.shard(number) for number in range(len(embeddings.shards)))
    blocks = (halves(store.read(shard)["vector"]) for shard in shards)
    d = halves(store.read(embeddings.shard(0))["vector"]).shape[1]
    build_index(blocks, embeddings.rows, d, folder, rng=rng_for(seed, "pool", "index"))
    return folder


@model_stage("index_file", version=1, ignore=("config.strata",))
def index_file(config: VectorsConfig, seed: int) -> Path:
    """Lay out the vectors of a file for searching."""
    folder, file = fresh_folder("index"), VectorFile(Path(config.path), config.column)
    build_index(file.blocks(), file.rows, file.d, folder, rng=rng_for(seed, "pool", "index"))
    return folder


@stage("choose_prompts", table="choices", version=1)
def choose_prompts(prompts: Artifact, index: Model, config: PoolConfig, seed: int) -> pl.DataFrame:
    """Choose the prompts that deserve the budget."""
    store = Store.open()
    stratified = "stratum" in store.scan(prompts).collect_schema()
    strata = store.read(prompts, ["stratum"])["stratum"].to_numpy() if stratified else None
    return choose(store.open_model(index), strata, config, seed=seed)


@stage("choose_rows", table="choices", version=1)
def choose_rows(file: VectorsConfig, index: Model, config: PoolConfig, seed: int) -> pl.DataFrame:
    """Choose the rows of a file that deserve the budget."""
    strata = VectorFile(Path(file.path), file.column).labels(file.strata) if file.strata else None
    return choose(Store.open().open_model(index), strata, config, seed=seed)


@stage("take_prompts", table="prompts", version=1)
def take_prompts(
    prompts: Artifact, choices: Artifact, first: int, count: int | None, shard_size: int
) -> list[pl.DataFrame]:
    """Take `count` chosen prompts (None: the rest) from rank `first`, the most wanted first."""
    read = Store.open().read
    return in_shards(take(read(prompts), read(choices), first, count), shard_size)
