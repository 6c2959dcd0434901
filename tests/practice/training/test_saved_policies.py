"""Saved policies.

What a training leaves is what was trained: its margins are measured on pairs, in memory and loaded.
"""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from prefopt_core.training.settings import LoraConfig

pytestmark = pytest.mark.slow  # they train

GENTLE = {"learning_rate": 5e-7, "epochs": 30.0}


@pytest.mark.case(
    "A bfloat16 policy at the default learning rate",
    reports="vllm-project/speculators#765, NVIDIA-NeMo/Automodel#3444",
    before="the saved policy had none of the margin: its weights were rounded to bfloat16",
    expected="100 % of the margin is saved, in float32",
)
def test_float32_weights_survive(make_model, make_pairs, train, margin_of):
    start = make_model(dtype=torch.bfloat16)
    pairs = make_pairs(start)
    run = train(start, pairs, **GENTLE)
    share = margin_of(run.folder, start, pairs) / run.trained
    dtype = json.loads((run.folder / "config.json").read_text())["dtype"]
    return f"{share:.0%} of the margin is saved, in {dtype}".replace("%", " %")


@pytest.mark.case(
    "The same, saved in the dtype of the start",
    reports="vllm-project/speculators#765",
    before="not said; the log showed the margin of the weights in training",
    expected="bfloat16: Saving rounded training away: the mean margin was # in training and is # "
    "in the saved policy. Set `training.save_dtype: float32`.",
)
def test_rounding_is_said(make_model, make_pairs, train, margin_of, caplog):
    start = make_model(dtype=torch.bfloat16)
    pairs = make_pairs(start)
    run = train(start, pairs, **GENTLE, save_dtype="start")
    assert run.saved == pytest.approx(margin_of(run.folder, start, pairs), abs=1e-5)
    assert run.saved < 0.5 * run.trained
    (weights,) = {w.dtype for w in load_file(run.folder / "model.safetensors").values()}
    # Another kind of processor rounds otherwise: no figures.
    return re.sub(r"\d\.\d+", "#", f"{weights}: {caplog.messages[-1]}").removeprefix("torch.")


@pytest.mark.case(
    "LoRA on input embeddings that the output layer shares, merged",
    reports="huggingface/peft#2018",
    before="merged into both layers: margin 0.99, trained 0.87",
    expected="margin as trained; input and output apart",
)
def test_tied_embeddings(make_model, make_pairs, train, margin_of):
    start = make_model(tie_word_embeddings=True)
    pairs = make_pairs(start)
    lora = LoraConfig(r=4, target_modules=("q_proj", "embed_tokens"))
    run = train(start, pairs, lora=lora)
    assert run.trained > 0.3
    assert margin_of(run.folder, start, pairs) == pytest.approx(run.trained, abs=1e-4)
    tied = json.loads((run.folder / "config.json").read_text())["tie_word_embeddings"]
    return f"margin as trained; input and output {'shared' if tied else 'apart'}"


@pytest.mark.case(
    "LoRA on a bfloat16 policy, merged",
    reports="huggingface/peft#1836, hiyouga/LlamaFactory#1447",
    before="rounded when it was merged: margin 0.2096, trained 0.2145",
    expected="margin as trained",
)
def test_lora_merges_in_float32(make_model, make_pairs, train, margin_of):
    start = make_model(dtype=torch.bfloat16)
    pairs = make_pairs(start)
    run = train(start, pairs, learning_rate=1e-4, lora=LoraConfig(r=4))
    assert run.trained > 0
    assert margin_of(run.folder, start, pairs) == pytest.approx(run.trained, rel=1e-3)
    return "margin as trained"


@pytest.mark.case(
    "LoRA on tied weights, no embedding adapted",
    reports="huggingface/peft#2018",
    before="right",
    expected="margin as trained, weights still shared",
)
def test_tied_weights_stay_tied(make_model, make_pairs, train, margin_of):
    start = make_model(tie_word_embeddings=True)
    pairs = make_pairs(start)
    run = train(start, pairs, lora=LoraConfig(r=4))
    assert margin_of(run.folder, start, pairs) == pytest.approx(run.trained, abs=1e-4)
    names = load_file(run.folder / "model.safetensors").keys()
    return f"margin as trained, weights {'apart' if 'lm_head.weight' in names else 'still shared'}"


@pytest.mark.case(
    "A generation_config.json that transformers reads and does not write",
    reports="huggingface/transformers#29988, hiyouga/LlamaFactory#2479",
    before="ValueError at the first checkpoint: training was lost",
    expected="trained, the file as it was",
)
def test_settings_of_generation(make_model, make_pairs, train):
    start = make_model()
    pairs = make_pairs(start)
    settings = '{"do_sample": false, "temperature": 0.6, "eos_token_id": 1}'
    (start / "generation_config.json").write_text(settings)
    run = train(start, pairs)
    assert (run.folder / "generation_config.json").read_text() == settings
    assert run.trained > 0
    return "trained, the file as it was"


@pytest.mark.case(
    "Gemma, which rounds a constant to the dtype it is loaded in",
    reports="huggingface/transformers#29402",
    before="right for float32; bfloat16 weights were trained with the rounded constant",
    expected="margin as trained, whole and with LoRA",
)
def test_constants_in_the_dtype(make_model, make_pairs, train, margin_of):
    start = make_model("gemma3_text", dtype=torch.bfloat16, num_key_value_heads=2, head_dim=16)
    pairs = make_pairs(start)
    for settings in ({}, {"lora": LoraConfig(r=4)}):
        run = train(start, pairs, learning_rate=1e-4, **settings)
        assert run.saved == pytest.approx(run.trained, abs=1e-6)
    return "margin as trained, whole and with LoRA"


@pytest.mark.case(
    "Fewer pairs than a batch: one step of training",
    reports="tried here",
    before="the one step was warm-up, at a learning rate of 0: nothing was trained",
    expected="trained",
)
def test_one_step_trains(make_model, make_pairs, train):
    start = make_model()
    run = train(start, make_pairs(start, 3), epochs=1.0)
    assert run.steps.height == 1
    return "trained" if run.trained > 0.01 else f"margin {run.trained}"
