"""One round of the joined loop with vLLM in place of transformers: the same tables come out."""

import pytest

from flows.align import align
from prefopt_core import models
from prefopt_core.engine import Engine
from prefopt_core.experiments import AlignConfig
from prefopt_core.store import Store
from tasks.stage import STAGES, Session, session

ORACLE = {"annotator": "function", "params": {"function": "prefopt_core.helpdesk.oracle:score"}}


def settings(model, backend, lora=None, **params):
    generation = {"generator": backend, "params": {"max_new_tokens": 24} | params}
    return {
        "policy": {"source": "pretrained", "params": {"path": str(model)}},
        "prompts": {"source": "helpdesk", "shard_size": 8, "params": {"count": 40}},
        "generation": generation | {"n": 4},
        "scoring": {"scorer": backend, "params": params},
        "embedding": {"embedder": "hashing"},
        "annotation": ORACLE,
        "budget": 16,
        "rounds": [{"prompts": 8, "labels": 8}, {"prompts": 8, "labels": 8}],
        "training": {
            "learning_rate": 1e-3,
            "steps": 2,
            "batch_size": 4,
            "micro_batch_size": 4,
            "max_length": 256,
            "lora": lora,
        },
        "evaluation": ORACLE | {"prompts": 8, "generation": generation | {"n": 1}},
    }


class Listener:
    """Remembers the artifact of every stage run, and which engine was there at its end."""

    def __init__(self):
        self.made, self.engines = [], []

    def started(self, stage): ...

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome):
        self.made.append((stage, outcome))
        there = [*models._loaded.values(), *models._resting.values()]
        pids = [link._process.pid for e in there if isinstance(e, Engine) for link in e._links]
        self.engines.append((stage, pids))


def run(settings, folder, listener=None):
    listener = listener or Listener()
    with pytest.MonkeyPatch.context() as patch, session(Session(observer=listener)):
        patch.setenv("PREFOPT_STORE", str(folder))
        align.fn(AlignConfig.model_validate(settings))
    store = Store(folder)
    return [
        (
            stage,
            outcome.cached,
            [f.name for f in outcome.value.files]
            if STAGES[stage].table is None
            else store.read(outcome.value).schema,
        )
        for stage, outcome in listener.made
    ]


def test_two_rounds_make_the_same_tables_as_with_transformers(model, tmp_path):
    engine = {"enforce_eager": True, "max_num_seqs": 64}
    made = run(settings(model, "vllm", **engine), tmp_path / "vllm")
    assert made == run(settings(model, "transformers"), tmp_path / "transformers")
    again = run(settings(model, "vllm", **engine, max_model_len=128), tmp_path / "vllm")
    assert all(cached for _, cached, _ in again)  # what changes speed only changes no key


def test_adapters_of_two_rounds_are_served_by_one_engine(model, tmp_path):
    lora, engine = {"r": 4, "merge": False}, {"enforce_eager": True, "max_num_seqs": 64}
    models.release_models()
    listener = Listener()
    made = run(settings(model, "vllm", lora, **engine), tmp_path / "vllm", listener)
    assert made == run(settings(model, "transformers", lora), tmp_path / "transformers")
    trained = [files for stage, _, files in made if stage == "train"]
    assert len(trained) == 2
    for files in trained:
        assert "adapter_model.safetensors" in files
        assert "model.safetensors" not in files
    first, second = (n for n, (stage, _) in enumerate(listener.engines) if stage == "train")
    served = [pids for _, pids in listener.engines]
    assert served[first] == []  # it served no adapters, so that training ended it
    (serving,) = {tuple(pids) for pids in served[first + 1 :]}  # in both rounds, while training too
    assert len(serving) == 1
    assert second > first + 1
