"""Longer than the model.

Models say in many ways how many tokens they read; more are refused before anything is computed.
"""

import json

import polars as pl
import pytest
from transformers import AutoConfig

from prefopt_core.generation import GENERATORS
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.ids import Prompt
from prefopt_core.inputs.prompts import of_texts
from prefopt_core.models.loading import release_models
from prefopt_core.models.positions import positions_of
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.scoring.table import sequence_logps

GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 16}
LONG = [(list(range(3, 15)), [5] * 30)]


@pytest.fixture(autouse=True)
def _released():
    yield
    release_models()


@pytest.mark.case(
    "Training on pairs beyond a Llama's positions",
    reports="huggingface/alignment-handbook#65, huggingface/trl#3042",
    before="trained in silence on positions that the model never saw",
    expected="refused: 12 of 12 pairs are longer than the 16 positions of the model in start; the "
    "longest has 51 tokens. Leave those out, or lower `generation.params.max_new_tokens`.",
)
def test_training_beyond_rotary_positions(make_model, make_pairs, train):
    start = make_model(max_position_embeddings=16)
    train(start, make_pairs(start, lengths=(25, 26)))


@pytest.mark.case(
    "Training on pairs beyond GPT-2's positions",
    reports="huggingface/trl#3042",
    before="IndexError: index out of range in self",
    expected="refused: 1 of 5 pairs are longer than the 16 positions of the model in start; the "
    "longest has 27 tokens. …",
)
def test_training_beyond_learned_positions(make_model, make_pairs, train):
    start = make_model("gpt2", **GPT2)
    pairs = make_pairs(start, 5, lengths=(4, 5))
    first, *others = pairs["chosen_token_ids"].to_list()
    longer = pl.Series([[*first, *[7] * 18], *others])
    train(start, pairs.with_columns(chosen_token_ids=longer))


@pytest.mark.case(
    "Scoring beyond the positions",
    reports="tried here",
    before="a Llama: scored in silence; GPT-2: IndexError",
    expected="refused: 1 of 1 prompts with their response are longer than the 16 positions of the "
    "model in start; the longest has 42 tokens. …",
)
def test_scoring(make_model):
    return sequence_logps(make_model(max_position_embeddings=16), LONG, ScoringConfig())


@pytest.mark.case(
    "Given responses beyond the positions of the policy",
    reports="huggingface/trl#3042",
    before="refused once their labels were bought, or never",
    expected="refused: 1 of 2 prompts with their given response are longer than the 16 positions "
    "of the model in start; the longest has 45 tokens. Leave those out.",
)
def test_given_responses(make_model, tmp_path):
    file = tmp_path / "pool.jsonl"
    row = {"prompt": "w4 w5 ", "responses": ["w6", " ".join(["w7"] * 42)]}
    file.write_text(json.dumps(row))
    config = GenerationConfig(generator="file", params={"path": str(file)})
    model = make_model(max_position_embeddings=16)
    return str(generate_candidates(of_texts(["w4 w5 "]), model, config, seed=0))


@pytest.mark.case(
    "Positions stretched by rotary scaling",
    reports="vllm-project/vllm#2518",
    before="a response as long as the stretched positions was refused",
    expected="sampled and scored",
)
def test_stretched_positions(make_model):
    scaling = {"rope_type": "linear", "factor": 4.0}
    model = make_model(max_position_embeddings=16, rope_scaling=scaling)
    prompt = Prompt("p", [{"role": "user", "content": "w4 w5"}])
    (answers,) = GENERATORS["transformers"]([prompt], model, 1, 0, max_new_tokens=40)
    assert sequence_logps(model, LONG, ScoringConfig()) < 0
    return "sampled and scored" if answers[0].token_ids else "empty"


@pytest.mark.case(
    "A sliding window shorter than a pair",
    reports="tried here",
    before="scored",
    expected="scored",
)
def test_a_window_is_no_limit(make_model):
    model = make_model("mistral", sliding_window=8, num_key_value_heads=2)
    assert sequence_logps(model, LONG, ScoringConfig()) < 0
    return "scored"


@pytest.mark.case(
    "OPT, whose table of positions has two rows more than it reads",
    reports="tried here",
    before="scored up to the last position",
    expected="refused: 1 of 2 prompts with their response are longer than the 42 positions …",
)
def test_opt(make_model):
    model = make_model("opt", ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=42)
    assert sequence_logps(model, LONG, ScoringConfig()) < 0
    (prompt, response) = LONG[0]
    return sequence_logps(model, [*LONG, (prompt, [*response, 5])], ScoringConfig())


@pytest.mark.case(
    "A model with relative positions only (BLOOM)",
    reports="tried here",
    before="scored",
    expected="scored",
)
def test_alibi(make_model):
    model = make_model("bloom", n_layer=2, n_head=2, seq_length=16)
    assert sequence_logps(model, LONG, ScoringConfig()) < 0
    return "scored"


@pytest.mark.case(
    "The language model of a composed one (Gemma 3)",
    reports="tried here",
    before="its positions were not found: responses were sampled beyond them",
    expected="16 positions",
)
def test_composed_models():
    composed = AutoConfig.for_model("gemma3", text_config={"max_position_embeddings": 16})
    assert not hasattr(composed, "max_position_embeddings")
    return f"{positions_of(composed)} positions"
