"""What vLLM writes: reproducible, independent, and with the probabilities of the model."""

import json
import shutil

import numpy as np
import pytest
from scipy.stats import chisquare

from prefopt_core.ground.errors import ConfigError
from prefopt_core.models.tokens import load_tokenizer, prompt_token_ids, template_digest

NEW = 24


def tokens(responses):
    return [[list(response.token_ids) for response in row] for row in responses]


def flat(responses):
    return [response for row in responses for response in row]


def test_seed_decides_the_text_and_samples_differ(write_with, written):
    assert write_with(n=16) == written
    assert tokens(write_with(n=16, seed=1)) != tokens(written)
    assert all(len({r.text for r in row}) > 8 for row in written)


def test_other_prompts_and_more_samples_change_nothing(write_with, written, asked):
    assert tokens(write_with(asked[2:3], n=16)) == tokens(written[2:3])
    turned = write_with(asked[::-1], n=3)
    assert tokens(turned) == [row[:3] for row in tokens(written)[::-1]]


def test_every_prompt_gets_n_responses_in_its_own_place(write_with, written, asked, model):
    tokenizer = load_tokenizer(model)
    assert [len(row) for row in written] == [16] * len(asked)
    for prompt, row in zip(asked, written, strict=True):
        ids = prompt_token_ids(tokenizer, prompt.messages)
        assert all(list(response.prompt_token_ids) == ids for response in row)
        assert {response.template for response in row} == {template_digest(tokenizer)}
    assert write_with([]) == []


def test_response_ends_with_eos_exactly_if_it_stopped(written, model):
    tokenizer, every = load_tokenizer(model), flat(written)
    assert {r.finish_reason for r in every} == {"stop", "length"}
    for r in every:
        stopped = r.finish_reason == "stop"
        assert r.token_ids.count(tokenizer.eos_token_id) == stopped
        assert (r.token_ids[-1] == tokenizer.eos_token_id) == stopped
        assert stopped or len(r.token_ids) == NEW
        assert r.text == tokenizer.decode(r.token_ids, skip_special_tokens=True)


@pytest.mark.parametrize(
    "params", [{}, {"temperature": 0.5}, {"top_p": 0.6, "top_k": 9, "min_p": 0.05}], ids=str
)
def test_logps_are_the_models_own_at_temperature_one(write_with, token_logps, params):
    for r in flat(write_with(**params)):
        logps = token_logps(r.prompt_token_ids, r.token_ids)
        expected = sum(logps[i, token] for i, token in enumerate(r.token_ids))
        assert r.logps == pytest.approx(float(expected), abs=1e-3)


# Not of the temperature: vLLM takes none below 0.01, and there the two likeliest may still tie.
@pytest.mark.parametrize("params", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=str)
def test_the_limit_of_every_truncation_is_greedy(write_with, token_logps, params):
    for row in write_with(n=2, **params):
        assert row[0] == row[1]
        likeliest = token_logps(row[0].prompt_token_ids, row[0].token_ids)[:-1].argmax(-1)
        assert list(row[0].token_ids) == likeliest.tolist()


def probabilities(token_logps, prompt, temperature=1.0):
    return (token_logps(prompt, [])[0] / temperature).softmax(-1).numpy()


def first_tokens(row):
    return np.array([r.token_ids[0] for r in row])


@pytest.mark.parametrize("temperature", [1.0, 1.5])
def test_tokens_are_as_frequent_as_softmax_says(write_with, token_logps, asked, temperature):
    (row,) = write_with(asked[:1], 3000, temperature=temperature, max_new_tokens=1)
    expected = len(row) * probabilities(token_logps, row[0].prompt_token_ids, temperature)
    observed = np.bincount(first_tokens(row), minlength=len(expected))
    rare = expected < 5
    observed, expected = (
        np.append(counts[~rare], counts[rare].sum()) for counts in (observed, expected)
    )
    assert chisquare(observed, expected * len(row) / expected.sum()).pvalue > 0.001


@pytest.mark.parametrize(
    ("params", "allowed"),
    [
        ({"top_k": 3}, lambda p: set(np.argsort(-p)[:3])),
        (
            {"top_p": 0.3},
            lambda p: set(np.argsort(-p)[: int((np.sort(p)[::-1].cumsum() < 0.3).sum()) + 1]),
        ),
        ({"min_p": 0.3}, lambda p: set(np.flatnonzero(p >= 0.3 * p.max()))),
    ],
    ids=["top_k", "top_p", "min_p"],
)
def test_truncation_leaves_the_tail_out_and_nothing_else(
    write_with, token_logps, asked, params, allowed
):
    (row,) = write_with(asked[:1], 1000, temperature=2.0, max_new_tokens=1, **params)
    kept = allowed(probabilities(token_logps, row[0].prompt_token_ids, 2.0))
    assert 1 < len(kept) < 40
    assert set(first_tokens(row)) == kept


def test_prompts_must_fit_the_engine(write_with):
    with pytest.raises(ConfigError, match=r"300 new ones do not fit .* 256 .*max_new_tokens"):
        write_with(max_new_tokens=300)


def test_every_token_that_the_author_lists_ends_a_response(write_with, model, tmp_path, written):
    end = load_tokenizer(model).eos_token_id
    comma = flat(written)[0].token_ids[2]
    folder = shutil.copytree(model, tmp_path / "advised")
    advice = {"eos_token_id": [end, comma], "repetition_penalty": 9.0, "temperature": 0.01}
    (folder / "generation_config.json").write_text(json.dumps(advice))
    every = flat(write_with(folder=folder, n=16))
    assert {r.token_ids[-1] for r in every if r.finish_reason == "stop"} == {end, comma}
    assert not any({end, comma} & set(r.token_ids[:-1]) for r in every)
    before = [list(r.token_ids) for r in flat(written)]
    cut = [ids[: ids.index(comma) + 1] if comma in ids else ids for ids in before]
    assert [list(r.token_ids) for r in every] == cut


def test_embeddings_that_are_no_token_are_not_sampled(write_with, model, tmp_path):
    padded = tmp_path / "padded"
    shutil.copytree(model, padded)
    from transformers import AutoModelForCausalLM

    policy = AutoModelForCausalLM.from_pretrained(model)
    tokens = policy.config.vocab_size
    policy.resize_token_embeddings(tokens + 64, mean_resizing=True)  # as likely as the others
    policy.save_pretrained(padded)
    responses = flat(write_with(folder=padded, temperature=2.0))
    sampled = [token for response in responses for token in response.token_ids]
    assert sampled
    assert max(sampled) < tokens
