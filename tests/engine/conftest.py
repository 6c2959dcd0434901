"""The real engine on a tiny model that has learned to speak; without vLLM all of it is skipped."""

import os

import pytest

from prefopt_core.ground.ids import Prompt
from prefopt_core.models import loading as models
from prefopt_core.models.vllm import Engine
from prefopt_core.models.vllm.interpreter import PYTHON_VARIABLE
from prefopt_core.worlds.helpdesk.prompts import prompts

ORACLE = {
    "annotator": "function",
    "params": {"function": "helpdesk"},
}
ENGINE = {"enforce_eager": True, "max_num_seqs": 64}


@pytest.fixture(scope="session", autouse=True)
def _vllm():
    if not os.environ.get(PYTHON_VARIABLE):
        pytest.skip(f"{PYTHON_VARIABLE} names no interpreter that has vLLM: `make test-vllm`")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield
    models.release_models()


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Folder of a help desk's model in float32."""
    from prefopt_core.worlds.helpdesk.pretraining import pretrain

    folder = tmp_path_factory.mktemp("helpdesk")
    (folder / "model").mkdir()
    settings = {"steps": 150, "batch_size": 16, "hidden_size": 64, "layers": 2, "heads": 2}
    pretrain(folder / "model", folder / "work", 0, **settings)
    return folder / "model"


@pytest.fixture(scope="session")
def asked():
    """Eight prompts."""
    return [
        Prompt(f"id{i}", [{"role": "user", "content": text}])
        for i, text in enumerate(prompts(8, seed=1))
    ]


@pytest.fixture(scope="session")
def write_with(model, asked):
    """Have the engine write; the settings are the generator's."""
    from prefopt_core.generation.settings import GenerationConfig

    def write_with(prompts=asked, n=4, seed=0, folder=model, **params):
        config = GenerationConfig(generator="vllm", params={"max_new_tokens": 24} | ENGINE | params)
        return config.member()(prompts, folder, n, seed)

    return write_with


@pytest.fixture(scope="session")
def written(write_with):
    """Sixteen responses to each prompt: some end, some are cut off."""
    return write_with(n=16)


@pytest.fixture(scope="session")
def token_logps(model):
    """(T + 1, V) log-probabilities of each of T tokens and the next, by transformers' own pass."""
    import torch
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model)  # not `load_model`: the engine stays

    def token_logps(prompt, response):
        with torch.no_grad():
            logits = network(torch.tensor([[*prompt, *response]])).logits
        return logits[0, len(prompt) - 1 :].double().log_softmax(-1)

    return token_logps


@pytest.fixture
def settings(model):
    """Settings of a run of `align` in two rounds, by transformers."""
    generation = {"n": 4, "params": {"max_new_tokens": 24}}
    return {
        "policy": {"source": "pretrained", "params": {"path": str(model)}},
        "prompts": {"source": "helpdesk", "shard_size": 8, "params": {"count": 40}},
        "generation": generation,
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
        },
        "evaluation": ORACLE | {"prompts": 8, "generation": generation | {"n": 1}},
    }


@pytest.fixture(scope="session")
def processes():
    """Process ids of the engine that is there, at work or at rest."""

    def processes():
        engines = [*models._loaded.values(), *models._sleeping.values()]
        links = [link for e in engines if isinstance(e, Engine) for link in e._links]
        return [link._process.pid for link in links]

    return processes


class Listener:
    """Remembers the outcome of every stage run, and which engine was there at its end."""

    def __init__(self, processes):
        self.made, self.engines, self._processes = [], [], processes

    def started(self, stage): ...

    def progressed(self, stage, done, total): ...

    def finished(self, stage, outcome):
        self.made.append((stage, outcome))
        self.engines.append(self._processes())


@pytest.fixture
def run(monkeypatch, processes):
    """Run `align` in the store of a folder.

    Returns its result, (stage, outcome) of each, and the engine's processes after each.
    """
    from flows.align import align
    from prefopt_core.experiments.flows import AlignConfig
    from tasks.session import Session, session

    def run(settings, folder):
        listener = Listener(processes)
        monkeypatch.setenv("PREFOPT_STORE", str(folder))
        with session(Session(observer=listener)):
            result = align.fn(AlignConfig.model_validate(settings))
        return result, listener.made, listener.engines

    return run
