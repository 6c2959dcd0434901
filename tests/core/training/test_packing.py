import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from prefopt_core.training import trl_dpo
from prefopt_core.training.packing import SIDES, collate
from prefopt_core.training.reading import last_hidden
from prefopt_core.training.settings import TrainingConfig

VOCABULARY, SMALL = 40, {"hidden_size": 16, "num_hidden_layers": 2, "vocab_size": 40}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24}
LAYERS = {"vocab_size": 40, "n_layer": 2, "n_head": 2}
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
PACKED = {
    "grouped queries": lambda: LlamaForCausalLM(LlamaConfig(**SMALL, **HEADS)),
    "learned positions": lambda: GPT2LMHeadModel(GPT2Config(n_embd=16, **LAYERS, **STILL)),
    "long window": lambda: MistralForCausalLM(MistralConfig(**SMALL, **HEADS, sliding_window=100)),
}
APART = {
    "short window": lambda: MistralForCausalLM(MistralConfig(**SMALL, **HEADS, sliding_window=3)),
    "states": lambda: MambaForCausalLM(MambaConfig(**SMALL, state_size=4)),
    "distances by mask": lambda: BloomForCausalLM(BloomConfig(hidden_size=16, **LAYERS)),
    "eager attention": lambda: LlamaForCausalLM(
        LlamaConfig(**SMALL, **HEADS, attn_implementation="eager")
    ),
}


def examples(*lengths):
    """Pairs whose prompt, chosen and rejected response have so many tokens."""
    rng, found = np.random.default_rng(0), []
    for row, three in enumerate(lengths):
        ids = (rng.integers(3, VOCABULARY, size=n).tolist() for n in three)
        found.append(
            dict(zip(("prompt_ids", "chosen_ids", "rejected_ids"), ids, strict=True))
            | {"ref_chosen_logps": 0.0, "ref_rejected_logps": 0.0, "doubtful": False}
            | {"confidence": 1.0, "row": row}
        )
    return found


def batch_of(*lengths, width=16):
    return collate(examples(*lengths), pad_token_id=2, width=width)


def loud(make):
    """A model of random weights that has opinions: tokens that it must not see would show."""
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(10)
    return model


def trainer_of(model, pairs, start, folder):
    config = TrainingConfig(batch_size=len(pairs), micro_batch_size=len(pairs))
    trainer = trl_dpo._trainer(model, pairs, start, folder, config, seed=0)
    return trainer, trainer.data_collator([trainer.pairs[i] for i in range(len(pairs))])


def loss_of_one(model, pair, beta):
    """DPO's loss of a pair, from passes over its two sequences."""
    shifts = []
    for side in SIDES:
        prompt, response = pair["prompt_token_ids"], pair[f"{side}_token_ids"]
        logits = model(torch.tensor([[*prompt, *response]])).logits[0, len(prompt) - 1 : -1]
        logps = logits.log_softmax(-1)[torch.arange(len(response)), response]
        shifts.append(logps.sum() - pair[f"ref_{side}_logps"])
    return -torch.nn.functional.logsigmoid(beta * (shifts[0] - shifts[1]))


@pytest.mark.parametrize("name", [*PACKED, *APART])
def test_loss_and_gradients_are_those_of_sequences_one_by_one(name, start, make_pairs, tmp_path):
    model, pairs = loud((PACKED | APART)[name]), make_pairs(5, source="gold")
    trainer, batch = trainer_of(model, pairs, start, tmp_path)
    assert (len(batch["input_ids"]) < 10) == (name in PACKED)
    found = trainer.compute_loss(trainer.model, batch)
    found.backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters()}
    model.zero_grad()
    losses = [loss_of_one(model, pair, trainer.beta) for pair in pairs.iter_rows(named=True)]
    expected = torch.stack(losses).mean()
    expected.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    largest = max(p.grad.abs().max() for p in model.parameters())
    for n, parameter in model.named_parameters():
        assert torch.allclose(gradients[n], parameter.grad, rtol=1e-3, atol=1e-5 * largest), n


def test_a_response_is_read_the_same_to_the_bit_whatever_stands_beside_it():
    model, pairs = loud(PACKED["grouped queries"]).eval(), examples((4, 6, 5), (3, 7, 2))
    others = [pairs[0] | {"chosen_ids": [7] * 6}, pairs[1] | {"prompt_ids": [9] * 3}]
    batches = [collate(rows, pad_token_id=2, width=math.inf) for rows in (pairs, others)]
    assert [len(batch["input_ids"]) for batch in batches] == [1, 1]
    before, after = (last_hidden(model, batch) for batch in batches)
    # the first of the chosen response is predicted from the prompt
    same = torch.tensor([True] + [False] * 5 + [False] * 7 + [True] * 5 + [False] * 2)
    assert (before == after).all(dim=1)[same].all()
    assert not (before == after).all(dim=1)[~same].any()


sizes = st.tuples(*[st.integers(1, 30)] * 3)


@given(st.lists(sizes, min_size=1, max_size=6), st.sampled_from([1, 16, math.inf, None]))
def test_every_response_is_predicted_once_from_what_stands_before_it(lengths, width):
    pairs, batch = examples(*lengths), batch_of(*lengths, width=width)
    assert len(batch["places"].unique()) == len(batch["places"]) == batch["lengths"].sum()
    tokens, positions = batch["input_ids"].flatten(), batch["position_ids"].flatten()
    parts = zip(
        *(x.split(batch["lengths"].tolist()) for x in (batch["places"], batch["labels"])),
        [pair[f"{side}_ids"] for side in SIDES for pair in pairs],
        [pair["prompt_ids"] for _ in SIDES for pair in pairs],
        strict=True,
    )
    for places, labels, response, prompt in parts:
        assert labels.tolist() == response
        assert tokens[places].tolist() == [prompt[-1], *response[:-1]]
        first = len(prompt) - 1
        assert positions[places].tolist() == list(range(first, first + len(response)))


@given(st.lists(sizes, min_size=1, max_size=6))
def test_rows_take_no_more_room_than_a_row_for_each_pair(lengths):
    packed = batch_of(*lengths)["input_ids"]
    longest = max(p - 1 + c + r for p, c, r in lengths)
    assert packed.numel() <= len(lengths) * longest


def test_short_pairs_fill_the_rows_of_long_ones():
    lengths = [(10, 60, 30), (10, 5, 6), (10, 20, 10), (10, 23, 9)]
    apart, packed = (batch_of(*lengths, width=w)["input_ids"] for w in (None, 64))
    assert apart.shape == (8, 69)
    assert packed.shape == (2, 100)
