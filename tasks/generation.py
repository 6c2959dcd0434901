"""Generation stage: the candidate responses."""

import polars as pl

from prefopt_core.artifacts import Artifact, Model
from prefopt_core.config import GenerationConfig
from prefopt_core.generation.table import generate_candidates as generate
from prefopt_core.store import Store
from tasks.stage import stage


@stage(
    "generate",
    table="candidates",
    version=1,
    by_shard=True,
    ignore=(
        "config.params.batch_size",
        "config.params.device",
        # of `openai`: the model's name and the settings say what was asked, not where or how fast
        "config.params.base_url",
        "config.params.api_key_env",
        "config.params.concurrency",
        "config.params.timeout_s",
        "config.params.max_attempts",
        "config.params.price_prompt",
        "config.params.price_completion",
    ),
)
def generate_candidates(
    prompts: Artifact, policy: Model | None, config: GenerationConfig, seed: int
) -> pl.DataFrame:
    """Have `policy` write `config.n` responses to every prompt."""
    store = Store.open()
    model = store.open_model(policy) if policy else None
    writer = policy.digest if policy else config.generator
    return generate(store.read(prompts), model, writer, config, seed=seed)
