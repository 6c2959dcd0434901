"""Adapters beside the weights they belong to: one engine for all of them, and the same numbers.

Stated tolerance: 1e-3 nats a sequence in float32, as for whole weights.
"""

import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.models import loading as models
from prefopt_core.models.adapters import ADAPTER_WEIGHTS, note_base
from prefopt_core.models.loading import release_models
from prefopt_core.scoring import SCORERS
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.store.store import Store
from prefopt_core.training.adapters import new_adapters, save_adapters
from prefopt_core.training.settings import LoraConfig

SETTINGS = {"enforce_eager": True, "max_num_seqs": 64}


def scored(model, pairs):
    return ScoringConfig(scorer="vllm", params=SETTINGS).member()(model, pairs)


def written(prompts, model):
    config = GenerationConfig(generator="vllm", params=SETTINGS | {"max_new_tokens": 24})
    return config.member()(prompts, model, 4, 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def base(model, store):
    (store.root / "work").mkdir(parents=True)
    return store.folder_path(store.put_folder(shutil.copytree(model, store.root / "work" / "base")))


@pytest.fixture(scope="module")
def adapt(base, store):
    """Put random adapters on the model; their folder in the store."""

    def adapt(seed, **lora):
        from peft import get_peft_model
        from transformers import AutoModelForCausalLM

        torch.manual_seed(seed)
        settings = new_adapters(LoraConfig(**({"r": 5, "merge": False} | lora)))
        policy = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        for name, weight in policy.named_parameters():
            if ".lora_B." in name or ".lora_embedding_B." in name:
                torch.nn.init.normal_(weight, std=0.1)
        folder = store.root / "work" / f"adapter-{seed}"
        shutil.copytree(base, folder, ignore=shutil.ignore_patterns("model.safetensors"))
        save_adapters(policy, base, folder)
        note_base(folder, base)
        return store.folder_path(store.put_folder(folder))

    return adapt


@pytest.fixture(scope="module")
def policies(base, adapt):
    """The start and what two rounds could have made of it."""
    return [base, adapt(1), adapt(2)]


def test_one_engine_serves_weights_and_adapters_like_transformers(
    policies, asked, written, processes
):
    release_models()
    pairs = [(r.prompt_token_ids, r.token_ids) for row in written for r in row]
    found, ran = [], []
    for policy in (*policies[::-1], policies[2]):  # an adapter first: it may stay for all
        found.append(scored(policy, pairs))
        ran += processes()
    assert len(set(ran)) == 1
    assert found[3].tolist() == found[0].tolist()  # of another adapter nothing is left
    assert np.abs(found[0] - found[1]).max() > 1  # nats: they are not alike
    assert np.abs(found[0] - found[2]).max() > 1
    responses = [written(asked, p) for p in policies]
    assert {*processes()} == {*ran}
    for policy, logps, rows in zip(policies[::-1], found, responses[::-1], strict=False):
        expected = SCORERS["transformers"](policy, pairs)
        assert logps == pytest.approx(expected, abs=1e-3)
        own = [r for row in rows for r in row]
        again = SCORERS["transformers"](policy, [(r.prompt_token_ids, r.token_ids) for r in own])
        assert [r.logps for r in own] == pytest.approx(scored, abs=1e-3)
    release_models()
    plain = written(asked, policies[0])
    assert [r.token_ids for row in plain for r in row] == [
        r.token_ids for row in responses[0] for r in row
    ]


def test_engine_rests_while_others_work_and_ends_when_another_is_wanted(
    policies, model, written, processes
):
    pairs = [(r.prompt_token_ids, r.token_ids) for r in written[0]]
    first = scored(policies[1], pairs)
    (engine,) = processes()
    SCORERS["transformers"](policies[0], pairs)
    assert len(models._sleeping) == 1
    models.make_room()  # as training does
    assert scored(policies[1], pairs).tolist() == first.tolist()
    assert processes() == [engine]
    scored(model, pairs)  # other weights
    assert processes() != [engine]
    with pytest.raises(ProcessLookupError):
        os.killpg(engine, 0)
    release_models()
    assert processes() == []


def test_larger_adapter_of_other_layers_starts_the_engine_again(
    adapt, policies, written, processes
):
    pairs = [(r.prompt_token_ids, r.token_ids) for r in written[0]]
    scored(policies[1], pairs)
    before = processes()
    larger = adapt(3, r=9, target_modules=("down_proj", "o_proj"))
    found = scored(larger, pairs)
    after = processes()
    assert after != before
    assert found == pytest.approx(SCORERS["transformers"](larger, pairs), abs=1e-3)
    scored(policies[1], pairs)
    assert processes() == after
    release_models()


def test_adapter_that_vllm_does_not_take_says_what_to_do(adapt, store, processes):
    pairs = [([5, 6, 7], [8, 9])]
    with pytest.raises(ConfigError, match=r"up to rank 512, .* has 513\. Lower"):
        scored(adapt(4, r=513), pairs)
    folder = shutil.copytree(adapt(5, target_modules=("q_proj",)), store.root / "work" / "strange")
    weights = load_file(folder / ADAPTER_WEIGHTS)
    strange = {name.replace("q_proj", "w_pack"): weight for name, weight in weights.items()}
    save_file(strange, folder / ADAPTER_WEIGHTS)
    with pytest.raises(ConfigError, match=r"cannot serve .*w_pack.*training\.lora\.merge: true"):
        scored(store.folder_path(store.put_folder(folder)), pairs)
    assert processes() == []
