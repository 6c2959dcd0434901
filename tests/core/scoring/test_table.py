"""Log-probabilities of given responses: the same in any batch, order and form."""

import polars as pl
import pytest
import torch
from transformers import LlamaForCausalLM

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.prompts import from_file
from prefopt_core.labels.asked import Asked
from prefopt_core.models.tokenised import tokenised, with_token_ids
from prefopt_core.models.tokens import template_digest
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.scoring.table import score_candidates, score_preferences, sequence_logps

CONFIG = ScoringConfig(params={"batch_size": 4})


def slow_logps(model, prompt, response):
    """One sequence, one pass, no padding."""
    with torch.no_grad():
        logits = LlamaForCausalLM.from_pretrained(model)(
            torch.tensor([[*prompt, *response]])
        ).logits
    logps = logits[0, len(prompt) - 1 : -1].double().log_softmax(-1)
    return float(logps[range(len(response)), list(response)].sum())


@pytest.fixture
def sampled(write, tiny_model):
    """(prompts, candidates) of the tiny model; some responses end, some are cut off."""
    texts = ["reset", "How do I reset my password?", "out of paper"]
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": text} for text in texts])))
    config = GenerationConfig(n=6, params={"max_new_tokens": 16})
    return prompts, generate_candidates(prompts, tiny_model, config, seed=0)


@pytest.fixture
def sequences(sampled):
    return list(sampled[1].select("prompt_token_ids", "response_token_ids").iter_rows())


@pytest.mark.slow
def test_sums_are_those_of_one_pass_without_padding(tiny_model, sequences):
    expected = [slow_logps(tiny_model, *sequence) for sequence in sequences]
    assert sequence_logps(tiny_model, sequences, CONFIG) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_size_of_a_batch_and_order_do_not_change_the_sums(tiny_model, sequences, batch_size):
    expected = sequence_logps(tiny_model, sequences, CONFIG)
    found = sequence_logps(
        tiny_model, sequences[::-1], ScoringConfig(params={"batch_size": batch_size})
    )
    assert found[::-1] == pytest.approx(expected, abs=1e-4)


def test_sampling_and_scoring_agree(tiny_model, sampled):
    prompts, candidates = sampled
    logps = check_table(
        "logps", score_candidates(Asked(candidates, candidates, prompts), tiny_model, CONFIG)
    )
    distinct = candidates.unique("candidate_id", keep="first", maintain_order=True)
    assert logps["candidate_id"].to_list() == distinct["candidate_id"].to_list()
    assert logps["logps"].to_list() == pytest.approx(distinct["logps"].to_list(), abs=1e-4)


def test_only_selected_responses_are_scored(tiny_model, sampled):
    prompts, candidates = sampled
    some = candidates.sample(5, seed=0)
    logps = score_candidates(Asked(some, candidates, prompts), tiny_model, CONFIG)
    assert sorted(logps["candidate_id"]) == sorted(set(some["candidate_id"]))


def test_response_that_was_cut_off_is_scored_without_an_end(tiny_model, sampled, tiny_tokenizer):
    prompts, candidates = sampled
    cut = candidates.filter(pl.col("finish_reason") == "length").head(1)
    (row,) = cut.iter_rows(named=True)
    (found,) = score_candidates(Asked(cut, candidates, prompts), tiny_model, CONFIG)["logps"]
    ids = row["response_token_ids"]
    assert tiny_tokenizer.eos_token_id not in ids
    assert found == pytest.approx(slow_logps(tiny_model, row["prompt_token_ids"], ids), abs=1e-4)


def test_response_that_came_as_text_is_scored_with_its_end(tiny_model, write, tiny_tokenizer):
    texts = ["Press the button.", "Open the settings."]
    path = write("c.jsonl", [{"prompt": "How?", "responses": texts}])
    prompts = from_file(0, path=str(path))
    config = GenerationConfig(generator="file", params={"path": str(path)})
    candidates = generate_candidates(prompts, None, config, seed=0)
    found = score_candidates(Asked(candidates, candidates, prompts), tiny_model, CONFIG)[
        "logps"
    ].to_list()
    prompt = tiny_tokenizer("<|user|>How?<|assistant|>")["input_ids"]
    responses = [tiny_tokenizer(f"{text}</s>")["input_ids"] for text in texts]
    assert [tokenised(tiny_model, prompts["prompt"][0], text) for text in texts] == [
        (prompt, response) for response in responses
    ]
    expected = [slow_logps(tiny_model, prompt, response) for response in responses]
    assert found == pytest.approx(expected, abs=1e-4)


def test_text_that_was_cut_off_is_scored_and_trained_without_an_end(
    tiny_model, sampled, tiny_tokenizer
):
    prompts, candidates = sampled
    texts = candidates.with_columns(
        pl.lit(None, pl.List(pl.Int32)).alias("response_token_ids"),
        finish_reason=pl.when(sample=0).then(pl.lit("length")).otherwise(pl.lit("stop")),
    )
    (prompt,) = prompts["prompt"].head(1)
    rows = texts.head(2)
    scored = score_candidates(Asked(rows, rows, prompts), tiny_model, CONFIG)["logps"].to_list()
    chosen, rejected = (
        tokenised(tiny_model, prompt, text, finished=finished)
        for text, finished in zip(rows["response"], (False, True), strict=True)
    )
    assert scored == pytest.approx([slow_logps(tiny_model, *ids) for ids in (chosen, rejected)])
    pair = pl.DataFrame(
        {
            "prompt": [prompt],
            "chosen": [[{"role": "assistant", "content": rows["response"][0]}]],
            "rejected": [[{"role": "assistant", "content": rows["response"][1]}]],
            "chosen_finished": [False],
            "rejected_finished": [True],
        }
    )
    (trained,) = with_token_ids(pair, tiny_model).iter_rows(named=True)
    assert tiny_tokenizer.eos_token_id not in trained["chosen_token_ids"]
    assert trained["rejected_token_ids"][-1] == tiny_tokenizer.eos_token_id
    assert trained["chosen_token_ids"] == chosen[1]


def test_gold_pairs_get_reference_logps_and_self_labelled_ones_are_left_out(
    tiny_model, write, tiny_tokenizer
):
    rows = [{"prompt": p, "chosen": "Press it.", "rejected": "No."} for p in ("How?", "Why me?")]
    pairs = read_preferences(write("s.jsonl", rows))
    own = pairs.head(1).with_columns(source=pl.lit("self"))
    table = score_preferences([pairs, own], tiny_model, CONFIG)
    assert check_table("preferences", table).height == 2
    assert set(table["template"]) == {template_digest(tiny_tokenizer)}
    for row in table.iter_rows(named=True):
        for side in ("chosen", "rejected"):
            ids = row["prompt_token_ids"], row[f"{side}_token_ids"]
            assert row[f"ref_{side}_logps"] == pytest.approx(slow_logps(tiny_model, *ids), abs=1e-4)


def test_pairs_that_were_sampled_keep_their_tokens(tiny_model, write):
    path = write("s.jsonl", [{"prompt": "How?", "chosen": "Press it.", "rejected": "No."}])
    tokenised_once = with_token_ids(read_preferences(path), tiny_model)
    cut = tokenised_once.with_columns(rejected_token_ids=pl.col("rejected_token_ids").list.head(1))
    assert with_token_ids(cut, tiny_model).equals(cut)
