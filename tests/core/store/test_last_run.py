"""What the last run left for `prefopt export`, and what a label or a prompt belongs to."""

import polars as pl
import pytest

from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.table import identity
from prefopt_core.experiments.flows import AepoConfig
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.inputs.drawing import draw
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.last_run import latest_preferences, note_latest
from prefopt_core.store.store import Store


def test_the_pairs_of_every_round_of_the_last_run_are_found(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(StoreError, match=r"No run has ended.*--artifact"):
        latest_preferences(store)
    for rounds in ([], [Artifact(table="preferences", shards=())] * 2):
        note_latest(store, rounds)
        assert latest_preferences(store) == rounds


def test_a_label_belongs_to_the_file_of_its_function_however_that_is_written(tmp_path, monkeypatch):
    def annotator(function):
        return identity(AnnotationConfig(annotator="function", params={"function": function}))

    monkeypatch.chdir(tmp_path)
    here = annotator("judge.py:score")
    assert annotator("./judge.py:score") == annotator(f"{tmp_path}/judge.py:score") == here
    assert annotator("other/judge.py:score") != here
    assert annotator("judge.py:other") != here
    (tmp_path / "judge.py").write_text("def score(prompt, response): return 1")
    assert annotator("judge.py:score") == here  # an edit is the guidelines' business


def test_prompts_that_were_learned_from_are_never_drawn():
    prompts = pl.DataFrame({"prompt_id": [f"p{i}" for i in range(10)]})
    used = prompts[:4]
    drawn = draw(prompts, 0, None, "test", seed=0, used=used)
    assert set(drawn["prompt_id"]) == {f"p{i}" for i in range(4, 10)}
    with pytest.raises(ConfigError, match="There are 6 prompts"):
        draw(prompts, 0, 7, "test", seed=0, used=used)


def test_a_setting_of_the_prompts_keeps_their_file_from_the_candidates():
    config = AepoConfig.model_validate(
        {
            "generation": {"generator": "file", "params": {"path": "pool.csv"}},
            "prompts": {"shard_size": 2},
            "annotation": {"annotator": "replay", "params": {"path": "pool.csv"}},
            "budget": 4,
        }
    )
    assert config.prompts.params["path"] == "pool.csv"
    assert config.prompts.shard_size == 2
