"""Generation stage: the candidate responses."""

import polars as pl

from prefopt_core.generation.openai_api import SPEED_ONLY as SERVER_SPEED_ONLY
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates as generate
from prefopt_core.models.vllm import SPEED_ONLY as ENGINE_SPEED_ONLY
from prefopt_core.store.artifacts import Artifact, Model
from prefopt_core.store.store import Store
from tasks.stage import stage

_SPEED_ONLY = ("batch_size", "device", *ENGINE_SPEED_ONLY, *SERVER_SPEED_ONLY)


@stage(
    "generate",
    table="candidates",
    version=1,
    by_shard=True,
    ignore=tuple(f"config.params.{name}" for name in _SPEED_ONLY),
)
def generate_candidates(
    prompts: Artifact, policy: Model | None, config: GenerationConfig, seed: int
) -> pl.DataFrame:
    """Have `policy` write `config.n` responses to every prompt."""
    store = Store.open()
    model = store.open_model(policy) if policy else None
    writer = policy.digest if policy else config.generator
    return generate(store.read(prompts), model, writer, config, seed=seed)
