"""Where and how fast an engine runs is no part of a result's key; what it is asked is."""

import pytest

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.labels.asked import Asked
from prefopt_core.models.vllm.settings import EngineSettings
from prefopt_core.scoring import SCORERS
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.store.artifacts import Artifact, Folder, Shard
from tasks.generation import generate_candidates
from tasks.scoring import score_preferences, score_responses

TABLE = Artifact(table="prompts", shards=(Shard(sha256="0" * 64, size=1, rows=1),))
POLICY = Folder(files=())
PLACE = {
    "python": "/elsewhere/python",
    "max_model_len": 99,
    "max_num_seqs": 9,
    "max_num_batched_tokens": 99,
    "gpu_memory_utilization": 0.5,
    "tensor_parallel_size": 4,
    "data_parallel_size": 2,
    "enforce_eager": True,
}


def generated(generator="vllm", **params):
    config = GenerationConfig(generator=generator, params=params)
    return key(generate_candidates, TABLE, POLICY, config, 0)


def scored(scorer="vllm", **params):
    config = ScoringConfig(scorer=scorer, params=params)
    return key(score_responses, Asked(TABLE, TABLE, TABLE), POLICY, config)


def rescored(scorer="vllm", **params):
    return key(score_preferences, [TABLE], POLICY, ScoringConfig(scorer=scorer, params=params))


def key(stage, *arguments):
    return stage.spec.key(stage.spec.inputs(stage.spec.bind(*arguments)))


def test_every_engine_setting_but_the_dtype_only_changes_speed():
    assert SCORERS.settings("vllm").keys() - SCORERS.speed_only("vllm") == {"dtype"}
    assert SCORERS.speed_only("vllm") == PLACE.keys()
    assert {*EngineSettings.__dataclass_fields__} == {"dtype", *PLACE}


@pytest.mark.parametrize("stage", [generated, scored, rescored])
def test_place_and_speed_change_no_key_and_dtype_and_backend_do(stage):
    assert stage(**PLACE) == stage()
    assert stage(dtype="bfloat16") != stage()
    assert stage("transformers") != stage()
    assert stage("transformers", batch_size=1, device="cpu") == stage("transformers")


def test_what_is_asked_changes_the_key():
    assert len({generated(), generated(top_k=5), generated(max_new_tokens=5)}) == 3
