"""Our way to write: the stage as a run has it, from the store and into it."""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import torch

from benchmarks.generation.rivals import Call
from benchmarks.timing import once
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.tables import in_shards
from prefopt_core.models import loading as models
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.store import Store
from tasks.generation import generate_candidates


@contextmanager
def stage(
    generator: str, asked: list[Prompt], model: Path, arguments: argparse.Namespace
) -> Iterator[Call]:
    """The stage as a run has it: shards out of the store and into it."""
    store = Store.open()
    rows = [{"prompt_id": p.prompt_id, "prompt": list(p.messages)} for p in asked]
    shards = [
        store.put_table("prompts", shard)
        for shard in in_shards(pl.DataFrame(rows), arguments.shard_size)
    ]
    own = {"transformers": {"batch_size": arguments.batch_size}, "vllm": engine_settings(arguments)}
    params = {"max_new_tokens": arguments.new_tokens} | own[generator]
    config = GenerationConfig(generator=generator, n=arguments.n, params=params)
    table = Artifact(table="prompts", shards=tuple(shards))
    inputs = generate_candidates.spec.bind(table, stored(store, model), config, 0)
    held: dict[Any, Any] = {}  # a run holds one model; here each stage has its own, to take turns

    def call() -> tuple[int, float]:
        with patch.object(models, "_loaded", held):
            outcome, taken = once(lambda: generate_candidates.spec.run(store, inputs, refresh=True))
        assert isinstance(outcome.value, Artifact)
        made = store.read(outcome.value, ["response_token_ids"])
        return int(made["response_token_ids"].list.len().sum()), taken.seconds

    yield call
    with patch.object(models, "_loaded", held):
        models.release_models()


def stored(store: Store, model: Path) -> Folder:
    """The model as an artifact, by links to its files."""
    folder = Path(tempfile.mkdtemp(dir=store.root))
    for file in model.iterdir():
        if file.is_file():
            (folder / file.name).symlink_to(file.resolve())
    return store.put_folder(folder)


def engine_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same for our engine and the bare one; both are there at once."""
    if torch.cuda.is_available():
        return {"gpu_memory_utilization": arguments.gpu_share}
    return {"enforce_eager": True}  # to compile for a CPU takes longer than all that is measured
