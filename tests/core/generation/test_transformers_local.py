"""Generation with a tiny random model: reproducible, independent, and with true probabilities."""

import json
import shutil

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
)

from prefopt_core.generation import decoding
from prefopt_core.generation.transformers_local import generate
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.loading import load_model
from prefopt_core.models.threads import threads_for
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids

TEXTS = ["reset", "How do I reset my password?", "out of paper", "the printer is on again!"]
PROMPTS = [Prompt(f"id{i}", [{"role": "user", "content": text}]) for i, text in enumerate(TEXTS)]
NEW = 16


def written(model, prompts=PROMPTS, n=4, seed=0, **params):
    return generate(prompts, model, n, seed, **({"max_new_tokens": NEW} | params))


def tokens(responses):
    return [[response.token_ids for response in row] for row in responses]


def token_logps(model, response):
    """(T + 1, V) log-probabilities of each of T tokens and the next, by a pass of its own."""
    ids = [*response.prompt_token_ids, *response.token_ids]
    with torch.no_grad(), threads_for(network := load_model(model)):
        logits = network(torch.tensor([ids])).logits[0, len(response.prompt_token_ids) - 1 :]
    return logits.double().log_softmax(-1).numpy()


@pytest.fixture(scope="module")
def responses(tiny_model):
    """Sixteen responses to each prompt: some end, some are cut off."""
    return written(tiny_model, n=16)


def test_seed_decides_the_text_and_samples_differ(tiny_model, responses):
    assert written(tiny_model, n=16) == responses
    assert tokens(written(tiny_model, n=16, seed=1)) != tokens(responses)
    assert all(len({r.text for r in row}) > 8 for row in responses)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_size_of_a_batch_does_not_change_the_text(tiny_model, responses, batch_size):
    other = written(tiny_model, n=16, batch_size=batch_size)
    assert tokens(other) == tokens(responses)
    for row, own in zip(other, responses, strict=True):
        assert [r.logps for r in row] == pytest.approx([r.logps for r in own], abs=1e-4)


def test_model_that_keeps_more_than_keys_and_values_carries_its_rows(tiny_model, monkeypatch):
    expected = written(tiny_model, n=16)
    network = load_model(tiny_model)
    monkeypatch.setattr(type(network), "_is_stateful", True)
    monkeypatch.setattr(DynamicCache, "batch_select_indices", None)
    assert written(tiny_model, n=16) == expected


def test_other_prompts_and_more_samples_change_nothing(tiny_model, responses):
    alone = written(tiny_model, prompts=PROMPTS[2:3], n=16)
    assert tokens(alone) == tokens(responses[2:3])
    turned = written(tiny_model, prompts=PROMPTS[::-1], n=3)
    assert tokens(turned) == [row[:3] for row in tokens(responses)[::-1]]


def test_every_prompt_gets_n_responses_in_its_own_place(tiny_model, responses, tiny_tokenizer):
    assert [len(row) for row in responses] == [16] * len(PROMPTS)
    for prompt, row in zip(PROMPTS, responses, strict=True):
        ids = prompt_token_ids(tiny_tokenizer, prompt.messages)
        assert all(list(response.prompt_token_ids) == ids for response in row)
    assert written(tiny_model, prompts=[]) == []


def test_response_ends_with_eos_exactly_if_it_stopped(responses, tiny_tokenizer):
    eos, every = tiny_tokenizer.eos_token_id, [r for row in responses for r in row]
    assert {r.finish_reason for r in every} == {"stop", "length"}
    for r in every:
        stopped = r.finish_reason == "stop"
        assert r.token_ids.count(eos) == stopped
        assert (r.token_ids[-1] == eos) == stopped
        assert stopped or len(r.token_ids) == NEW
        assert r.text == tiny_tokenizer.decode(r.token_ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    "params", [{}, {"temperature": 0.3}, {"top_p": 0.6, "top_k": 9, "min_p": 0.05}], ids=str
)
def test_logps_are_the_models_own_at_temperature_one(tiny_model, params):
    for row in written(tiny_model, **params):
        for response in row:
            logps = token_logps(tiny_model, response)
            expected = sum(logps[i, token] for i, token in enumerate(response.token_ids))
            assert response.logps == pytest.approx(expected, abs=1e-4)


def first_tokens(model, n, **params):
    return np.array([r.token_ids[0] for r in written(model, PROMPTS[1:2], n, **params)[0]])


def probabilities(model, temperature=1.0):
    (response,) = written(model, PROMPTS[1:2], n=1)[0]
    scores = token_logps(model, response)[0] / temperature
    return np.exp(scores - np.logaddexp.reduce(scores))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_tokens_are_as_frequent_as_softmax_says(tiny_model, temperature):
    n = 4000
    drawn = first_tokens(tiny_model, n, temperature=temperature, max_new_tokens=1, batch_size=n)
    expected = n * probabilities(tiny_model, temperature)
    observed = np.bincount(drawn, minlength=len(expected))
    rare = expected < 5
    observed, expected = (
        np.append(counts[~rare], counts[rare].sum()) for counts in (observed, expected)
    )
    assert chisquare(observed, expected * n / expected.sum()).pvalue > 0.01


@pytest.mark.parametrize("params", [{"temperature": 1e-4}, {"top_k": 1}, {"top_p": 1e-6}], ids=str)
def test_the_limit_of_every_setting_is_greedy(tiny_model, params):
    for row in written(tiny_model, n=2, **params):
        assert row[0] == row[1]
        likeliest = token_logps(tiny_model, row[0])[:-1].argmax(axis=-1)
        assert row[0].token_ids == likeliest.tolist()


def nucleus(p, mass):
    order = np.argsort(-p)
    return set(order[: int((np.cumsum(p[order]) < mass).sum()) + 1])


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"top_p": 0.5}, lambda p: nucleus(p, 0.5)),
        ({"top_k": 3}, lambda p: set(np.argsort(-p)[:3])),
        ({"min_p": 0.3}, lambda p: set(np.flatnonzero(p >= 0.3 * p.max()))),
    ],
    ids=["top_p", "top_k", "min_p"],
)
def test_truncation_leaves_the_tail_out_and_nothing_else(tiny_model, params, allowed):
    kept = allowed(probabilities(tiny_model, 2.0))
    assert 1 < len(kept) < 40
    params = params | {"temperature": 2.0, "max_new_tokens": 1, "batch_size": 2000}
    assert set(first_tokens(tiny_model, 2000, **params)) == kept


@pytest.fixture
def advised(tiny_model, tmp_path):
    """The tiny model, with its author's advice on sampling."""

    def advised(**advice):
        folder = shutil.copytree(tiny_model, tmp_path / "advised")
        path = folder / "generation_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | advice))
        return folder

    return advised


def test_advice_of_the_models_author_is_not_mixed_in(advised, responses):
    model = advised(
        repetition_penalty=3.0, num_beams=3, no_repeat_ngram_size=1, do_sample=True, top_k=2,
        temperature=0.1, min_new_tokens=NEW,
    )  # fmt: skip
    assert tokens(written(model, n=16)) == tokens(responses)


@pytest.mark.slow
def test_dropping_rows_that_have_ended_changes_no_bit(advised, tiny_model, monkeypatch):
    frequent = probabilities(tiny_model).argsort()[-12:].tolist()
    model, batches, rest = advised(eos_token_id=frequent), [], decoding.EnoughEnded.remaining
    monkeypatch.setattr(
        decoding.EnoughEnded,
        "remaining",
        lambda self: batches.append(len(kept := rest(self))) or kept,
    )
    monkeypatch.setattr(decoding, "DROPPED_AT", 2.0)  # never
    carried = written(model, n=40, batch_size=160, max_new_tokens=64)
    assert batches == [decoding.ROWS]  # all ended, nothing was left to do
    monkeypatch.setattr(decoding, "DROPPED_AT", 0.1)
    batches.clear()
    assert written(model, n=40, batch_size=160, max_new_tokens=64) == carried
    assert len(batches) > 5
    assert batches == sorted(batches, reverse=True)
    assert batches[-1] == decoding.ROWS


LONG = [Prompt(f"long{i}", [{"role": "user", "content": f"{i} is out, " * 20}]) for i in range(3)]


@pytest.fixture
def reads(monkeypatch):
    """The rows that each batch read for all of its samples, filled as batches are written."""
    reads, select = [], DynamicCache.batch_select_indices

    def listen(cache, rows):
        before = cache.layers[0].keys.shape[0]
        select(cache, rows)
        reads.extend([before] * (len(rows) > before))

    monkeypatch.setattr(DynamicCache, "batch_select_indices", listen)
    return reads


@pytest.fixture(params=["llama", "mistral, sliding", "gpt2"])
def any_model(request, tiny_model, tmp_path):
    """The tiny model, one whose window is shorter than its prompts, one with learned positions."""
    if request.param == "llama":
        return tiny_model
    tokenizer = load_tokenizer(tiny_model)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    shape = {"vocab_size": len(tokenizer), "bos_token_id": None, "initializer_range": 0.2} | ends
    torch.manual_seed(0)
    if request.param == "gpt2":
        network = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, **shape))
    else:
        sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
        heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 16}
        network = MistralForCausalLM(MistralConfig(**sizes, **heads, **shape))
    network.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.slow
def test_samples_of_a_long_prompt_share_the_reading_of_it(any_model, reads, monkeypatch):
    shared = written(any_model, LONG, n=8)
    assert reads == [3]
    assert tokens(written(any_model, LONG[2:], n=8)) == tokens(shared[2:])
    assert tokens(written(any_model, LONG, n=8, batch_size=5)) == tokens(shared)
    monkeypatch.setattr(decoding, "SHARED_FROM", 10**9)
    reads.clear()
    alone = written(any_model, LONG, n=8)
    assert reads == []
    assert tokens(alone) == tokens(shared)
    for row, own in zip(shared, alone, strict=True):
        assert [r.logps for r in row] == pytest.approx([r.logps for r in own], abs=1e-4)


def test_short_prompts_are_read_by_every_sample(tiny_model, responses, reads):
    written(tiny_model, [*LONG, PROMPTS[0]], n=2)  # nor those that share a batch with one
    assert tokens(written(tiny_model, n=16)) == tokens(responses)
    assert written(tiny_model, LONG, n=1)
    assert reads == []


def test_model_that_keeps_more_than_keys_and_values_reads_for_every_sample(
    tiny_model, reads, monkeypatch
):
    expected = tokens(written(tiny_model, LONG))
    assert reads == [3]
    monkeypatch.setattr(type(load_model(tiny_model)), "_is_stateful", True)
    assert tokens(written(tiny_model, LONG)) == expected
    assert reads == [3]


def test_every_token_that_the_author_lists_ends_a_response(advised, tiny_tokenizer, tiny_model):
    likely = int(probabilities(tiny_model).argmax())
    ends = {tiny_tokenizer.eos_token_id, likely}
    every = [r for row in written(advised(eos_token_id=sorted(ends)), n=16) for r in row]
    stopped = [r for r in every if r.finish_reason == "stop"]
    assert {r.token_ids[-1] for r in stopped} == ends
    assert not any(ends & set(r.token_ids[:-1]) for r in every)


def test_model_is_needed_and_prompts_must_fit_it(tiny_model):
    with pytest.raises(ConfigError, match=r"'transformers' needs a model: set `policy`"):
        written(None)
    with pytest.raises(ConfigError, match=r"300 new ones do not fit .* 256 .*max_new_tokens"):
        written(tiny_model, max_new_tokens=300)
