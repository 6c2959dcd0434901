"""Momentum across rounds: how far the weights go, and what stays as it was."""

import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from prefopt_core.models.saving import merged, save_weights
from prefopt_core.training.log import STEPS
from prefopt_core.training.momentum import accelerate
from prefopt_core.training.settings import TrainingConfig

WEIGHTS = "model.safetensors"


@pytest.fixture
def nudged(start, tmp_path):
    """A policy whose weights lie a little beside those of `start`."""
    folder = tmp_path / "trained"
    shutil.copytree(start, folder)
    model = LlamaForCausalLM.from_pretrained(start)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.01 * torch.randn_like(weight)
    model.save_pretrained(folder)
    (folder / STEPS).write_text('{"step": 1}\n')
    return folder


def test_weights_go_on_in_the_direction_of_the_training(start, nudged, tmp_path):
    out = accelerate(nudged, start, tmp_path / "out", momentum=0.3)
    before, now, found = (load_file(folder / WEIGHTS) for folder in (start, nudged, out))
    for name, weight in found.items():
        assert torch.allclose(weight, now[name] + 0.3 * (now[name] - before[name]), atol=1e-7)
    assert (out / STEPS).read_text() == '{"step": 1}\n'  # the report is about the training
    assert {file.name for file in out.iterdir()} == {file.name for file in nudged.iterdir()}


def test_without_momentum_the_weights_are_the_same_bits(start, nudged, tmp_path):
    out = accelerate(nudged, start, tmp_path / "out", momentum=0.0)
    now, found = (load_file(folder / WEIGHTS) for folder in (nudged, out))
    assert all(torch.equal(found[name], now[name]) for name in now)


def test_products_of_adapters_are_extrapolated_and_not_their_factors(start, tmp_path):
    config = LoraConfig(r=2, lora_alpha=4, target_modules=["q_proj"])
    policy = get_peft_model(LlamaForCausalLM.from_pretrained(start), config)
    assert isinstance(policy, PeftModel)
    torch.manual_seed(2)
    deltas = {}
    for name, layer in policy.named_modules():
        if hasattr(layer, "get_delta_weight") and "default" in getattr(layer, "lora_B", {}):
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=0.1)
            own = name.removeprefix("base_model.model.") + ".weight"
            deltas[own] = layer.get_delta_weight("default").detach().clone()
    assert deltas
    save_weights(merged(policy), start, tmp_path / "trained", torch.float32)
    out = accelerate(tmp_path / "trained", start, tmp_path / "out", momentum=0.5)
    before, found = load_file(start / WEIGHTS), load_file(out / WEIGHTS)
    for name, delta in deltas.items():
        assert torch.allclose(found[name], before[name] + 1.5 * delta, atol=1e-6)


def test_momentum_leaves_keys_and_names_as_they_were_and_needs_whole_weights():
    plain, fast = TrainingConfig(), TrainingConfig(momentum=0.3)
    assert "momentum" not in plain.key_part()
    assert fast.key_part() == plain.key_part()  # what is trained is the same; a stage follows
    assert "momentum" not in plain.model_dump(mode="json", context="identity")
    assert fast.model_dump(mode="json", context="identity")["momentum"] == 0.3
    with pytest.raises(ValueError, match=r"`lora\.merge: true`"):
        TrainingConfig(momentum=0.3, lora={"merge": False})
