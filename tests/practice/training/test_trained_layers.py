"""What is trained.

Layers that LoRA adapts or misses, end tokens that count, runs that learn nothing.
"""

import numpy as np
import polars as pl
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from prefopt_core.ground.settings import problems_of
from prefopt_core.training.settings import LoraConfig, TrainingConfig

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
    reports="huggingface/trl#744",
    before="right",
    expected="off: the first step is the reference model's",
)
def test_dropout(make_model, make_pairs, train):
    start = make_model("gpt2", n_embd=32, n_layer=2, n_head=2, resid_pdrop=0.5, attn_pdrop=0.5)
    shifts = train(start, make_pairs(start)).steps.select("chosen_shift", "rejected_shift").row(0)
    assert np.abs(shifts).max() < 1e-4
    return "off: the first step is the reference model's"


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
