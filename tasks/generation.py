"""Generation stage: the candidate responses."""

import polars as pl

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates as generate
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage(
    "generate",
    table="candidates",
    version=1,
    by_shard=True,
)
def generate_candidates(
    prompts: Artifact, policy: Model | None, config: GenerationConfig, seed: int
) -> pl.DataFrame:
    """Have `policy` write `config.n` responses to every prompt."""
    store = Store.open()
    model = store.open_model(policy) if policy else None
    writer = policy.digest if policy else config.generator
    return generate(store.read(prompts), model, writer, config, seed=seed)
