"""Selection stage: which responses are worth a label."""

import polars as pl

from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.selection.table import COLUMNS
from prefopt_core.selection.table import select_responses as select
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store
from tasks.stage import stage


@stage(
    "select",
    table="selections",
    version=2,
    by_shard=True,
)
def select_responses(
    candidates: Artifact, embeddings: Artifact | None, config: SelectionConfig, seed: int
) -> pl.DataFrame:
    """Keep `config.k` of the N responses to every prompt, before any of them is labelled."""
    store = Store.open()
    vectors = store.read(embeddings) if embeddings else None
    return select(store.read(candidates, COLUMNS), vectors, config, seed=seed)
