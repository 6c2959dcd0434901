"""Where results come from, by the manifests of a store alone."""

import polars as pl
import pytest

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.cache_key import key_values
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store


def prompts(count: int) -> list[pl.DataFrame]:
    said = [{"role": "user", "content": "Hi"}]
    return [pl.DataFrame({"prompt_id": [f"p{i}"], "prompt": [said]}) for i in range(count)]


def embed(prompts: pl.DataFrame, size: int) -> pl.DataFrame:
    return prompts.select("prompt_id", vector=pl.lit(b"\0\0" * size))


def longer(embeddings: pl.DataFrame) -> pl.DataFrame:
    return embeddings.with_columns(vector=pl.lit(b"\0\0\0\0" + embeddings["vector"][0]))


LOAD = Stage("load_prompts", prompts, 1, "prompts")
EMBED = Stage("embed_prompts", embed, 1, "prompt_embeddings", by_shard=True)
LONGER = Stage("longer", longer, 1, "prompt_embeddings", by_shard=True)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run(store, stage, *arguments):
    return stage.run(store, stage.bind(*arguments)).value


@pytest.fixture
def loaded(store):
    return run(store, LOAD, 3)


def test_a_table_made_shard_by_shard_is_found_as_a_whole(store, loaded):
    vectors = [run(store, EMBED, loaded, size) for size in (1, 2)]
    lineage = Lineage(store)
    for size, table in enumerate(vectors, 1):
        made = lineage.made(key_values(table))
        assert made.output == table
        assert (made.manifest.stage, made.inputs["size"]) == ("embed_prompts", size)
        assert [each.output.shards for each in made.by] == [(shard,) for shard in table.shards]
        assert lineage.made(made.inputs["prompts"]).output == loaded


def test_tables_that_differ_in_an_input_alone_are_told_apart(store, loaded):
    ends = [run(store, LONGER, run(store, EMBED, loaded, size)) for size in (1, 2)]
    for size, table in enumerate(ends, 1):
        before = Lineage(store).made(key_values(table))
        assert before.output == table
        assert Lineage(store).made(before.inputs["embeddings"]).inputs["size"] == size


def test_a_result_that_was_removed_is_named(store, loaded):
    vectors = run(store, EMBED, loaded, 1)
    for manifest in store.manifests("load_prompts"):
        store.manifest_path(manifest.stage, manifest.key).unlink()
    with pytest.raises(StoreError, match=r"no longer knows how prompt_embeddings .* was made"):
        Lineage(store).made(key_values(vectors))


def test_results_of_a_stage_are_listed_without_those_of_others(store, loaded):
    run(store, EMBED, loaded, 1)
    assert [m.output for m in Lineage(store).of_stage("load_prompts")] == [loaded]
    assert not [*Lineage(store).of_stage("train")]
    assert isinstance(loaded, Artifact)
