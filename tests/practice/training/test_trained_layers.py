"""What is trained.

Layers that LoRA adapts or misses, end tokens that count, runs that learn nothing.
"""

import json
import re

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.settings import problems_of
from prefopt_core.training.settings import LoraConfig, TrainingConfig

pytestmark = pytest.mark.slow  # they train

CHOSEN = "chosen_token_ids"


@pytest.mark.case(
    "The output layer as a target of LoRA",
    reports="tried here",
    before="ValueError deep inside TRL",
    expected="…'lm_head' is the output layer, which cannot be adapted here. Leave it out, or train "
    "all weights (`training.lora: null`).",
)
def test_the_output_layer_by_its_name():
    with pytest.raises(ValidationError) as caught:
        TrainingConfig(lora={"target_modules": ["q_proj", "lm_head"]})
    return "; ".join(problems_of(caught.value))


@pytest.mark.case(
    "The output layer by a pattern",
    reports="tried here",
    before="ValueError deep inside TRL",
    expected="refused: training.lora.target_modules: '.*(q_proj|_head)' is the output layer, …",
)
def test_the_output_layer_by_a_pattern(make_model, make_pairs, train):
    start = make_model()
    train(start, make_pairs(start), lora=LoraConfig(r=4, target_modules=".*(q_proj|_head)"))


@pytest.mark.case(
    "One of two names of layers is misspelt",
    reports="dllm-reasoning/d1#6, NVIDIA-NeMo/Megatron-Bridge#1738",
    before="trained in silence without that layer",
    expected="refused: training.lora.target_modules: 'v_prj' is no layer of this model, so nothing "
    "would be trained there. Its layers are down_proj, embed_tokens, gate_proj, …",
)
def test_a_misspelt_layer(make_model, make_pairs, train):
    start = make_model()
    train(start, make_pairs(start), lora=LoraConfig(r=4, target_modules=("q_proj", "v_prj")))


@pytest.mark.case(
    "A whole block as a target",
    reports="huggingface/peft#3089",
    before="ValueError of PEFT, with a traceback",
    expected="refused: training.lora.target_modules: 'mlp' is no layer of this model, …",
)
def test_a_block(make_model, make_pairs, train):
    start = make_model()
    train(start, make_pairs(start), lora=LoraConfig(r=4, target_modules=("mlp",)))


@pytest.mark.case(
    "LoRA with recomputed activations",
    reports="huggingface/peft#1142, locuslab/open-unlearning#178",
    before="right",
    expected="every adapter moved; as without",
)
def test_lora_with_gradient_checkpointing(make_model, make_pairs, train):
    start = make_model()
    pairs, lora = make_pairs(start), LoraConfig(r=4, merge=False)
    margins = []
    for recomputed in (False, True):
        run = train(start, pairs, lora=lora, gradient_checkpointing=recomputed, steps=3)
        margins.append(run.trained)
        weights = load_file(run.folder / "adapter_model.safetensors")
        assert all(w.any() for name, w in weights.items() if "lora_B" in name)
    assert margins[1] == pytest.approx(margins[0], rel=1e-3)
    return "every adapter moved; as without"


@pytest.mark.case(
    "Padding and end are one token",
    reports="mlabonne/llm-course#33, unslothai/unsloth#416",
    before="right",
    expected="the end token is trained as with a padding token of its own",
)
def test_padding_is_the_end(make_model, make_pairs, train, write_tokenizer):
    start = make_model()
    pairs = make_pairs(start)
    apart = train(start, pairs).trained
    write_tokenizer(start, pad_token="<eos>")
    assert train(start, pairs).trained == pytest.approx(apart, rel=1e-4)
    without = pairs.with_columns(pl.Series(CHOSEN, [i[:-1] for i in pairs[CHOSEN]]))
    assert train(start, without).trained != pytest.approx(apart, rel=1e-2)
    return "the end token is trained as with a padding token of its own"


@pytest.mark.case(
    "Pairs padded to the longest of their batch",
    reports="tried here",
    before="right",
    expected="the same log-probabilities as alone",
)
def test_padding_counts_nothing(make_model, make_pairs, train):
    start = make_model()
    run = train(start, make_pairs(start, 8, lengths=(2, 20)), batch_size=8, micro_batch_size=8)
    shifts = run.steps.select("chosen_shift", "rejected_shift").row(0)
    assert np.abs(shifts).max() < 1e-4  # the first step is the reference model's
    return "the same log-probabilities as alone"


@pytest.mark.case(
    "A learning rate at which training diverges",
    reports="tried here",
    before="a policy of NaN was saved, and the next round sampled from it",
    expected="refused: Training diverged: the policy's log-probabilities are not finite any more, "
    "and it is not saved. Lower `training.learning_rate` …",
)
def test_divergence(make_model, make_pairs, train):
    start = make_model()
    return train(start, make_pairs(start), learning_rate=1e30, optimizer="sgd", epochs=4.0)


@pytest.mark.case(
    "Dropout in the model's own configuration",
    reports="huggingface/trl#744, eric-mitchell/direct-preference-optimization#34",
    before="off in GPT-2; in OPT, XGLM and GPT-BigCode on, as it is no layer there: the policy was "
    "1.5 nats from its reference before the first step",
    expected="off in gpt2, opt, xglm, gpt_bigcode: the first step is the reference model's",
)
def test_dropout(make_model, make_pairs, train):
    gpt2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "resid_pdrop": 0.5, "attn_pdrop": 0.5}
    kinds = {
        "gpt2": gpt2,
        "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "dropout": 0.5, "layerdrop": 0.5},
        "xglm": {"d_model": 32, "num_layers": 2, "attention_heads": 2, "ffn_dim": 48},
        "gpt_bigcode": gpt2,
    }
    for kind, settings in kinds.items():
        start = make_model(kind, name=kind, **settings)
        steps = train(start, make_pairs(start, 4), steps=1).steps
        shifts = steps.select("chosen_shift", "rejected_shift").row(0)
        assert np.abs(shifts).max() < 1e-3, kind
    return f"off in {', '.join(kinds)}: the first step is the reference model's"


@pytest.mark.case(
    "Pairs that were scored under another model",
    reports="tried here",
    before="trained in silence",
    expected="Before its first step the policy was … nats per response from its reference model: …",
)
def test_another_reference(make_model, make_pairs, train, caplog):
    other = make_pairs(make_model(initializer_range=0.5, name="other"))
    train(make_model(), other)
    return re.sub(r"\d[\d.e+]*", "#", caplog.messages[0])


@pytest.mark.case(
    "Layers that PEFT has no adapters for (Mamba)",
    reports="tried here",
    before="ValueError of PEFT, with a traceback",
    expected="refused: LoRA cannot adapt this model: … Set `training.lora.target_modules`, or …",
)
def test_mamba(make_model, make_pairs, train):
    start = make_model("mamba", state_size=4)
    with pytest.raises(ConfigError) as caught:
        train(start, make_pairs(start), lora=LoraConfig(r=4))
    # PEFT lists its layers in any order.
    return "refused: " + re.sub(r"\[PEFT.*issues\.", "…", str(caught.value))


@pytest.mark.case(
    "Experts that are one tensor, under LoRA on all linear layers",
    reports="tried here",
    before="trained in silence without the experts",
    expected="LoRA adapts linear layers: … % of the weights are none (down_proj, gate_up_proj) and "
    "stay as they are.",
)
def test_experts(make_model, make_pairs, train, caplog):
    experts = {"num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}
    start = make_model("mixtral", **experts)
    train(start, make_pairs(start), lora=LoraConfig(r=4), steps=2)
    return caplog.messages[0]


@pytest.mark.case(
    "Weights that are quantised",
    reports="tried here",
    before="trained from what they were unpacked to, if they could be loaded",
    expected="refused: The weights in start are quantised …",
)
def test_quantised(make_model, make_pairs, train):
    start = make_model()
    pairs = make_pairs(start)
    settings = json.loads((start / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "fp8"}
    (start / "config.json").write_text(json.dumps(settings))
    train(start, pairs)


@pytest.mark.case(
    "One pair at a time against whole batches",
    reports="huggingface/trl#2175",
    before="right",
    expected="the same policy",
)
def test_accumulation(make_model, make_pairs, train):
    start = make_model()
    pairs = make_pairs(start, 8, lengths=(2, 20))
    margins = [train(start, pairs, micro_batch_size=size).trained for size in (1, 4)]
    assert margins[0] == pytest.approx(margins[1], rel=1e-3)
    return "the same policy"


@pytest.mark.case(
    "A policy in float16",
    reports="tried here",
    before="trained in float32, rounded to float16 when it was saved",
    expected="margin as trained, float32",
)
def test_float16(make_model, make_pairs, train, margin_of):
    start = make_model(dtype=torch.float16)
    pairs = make_pairs(start)
    run = train(start, pairs, learning_rate=1e-6)
    assert margin_of(run.folder, start, pairs) == pytest.approx(run.trained, abs=1e-6)
    (dtype,) = {w.dtype for w in load_file(run.folder / "model.safetensors").values()}
    return f"margin as trained, {dtype}".replace("torch.", "")
