"""Generation on tables: what every generator's responses become."""

import pytest

from prefopt_core.generation import GENERATORS
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.prompts import from_file
from prefopt_core.models.tokens import template_digest

TEXTS = ["reset", "How do I reset my password?", "out of paper", "the printer is on again!"]


def test_table_holds_what_was_generated(write, tiny_model, tiny_tokenizer):
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": text} for text in TEXTS])))
    config = GenerationConfig(n=3, params={"max_new_tokens": 4})
    table = generate_candidates(prompts, tiny_model, config, seed=0)
    assert check_table("candidates", table).height == 3 * len(TEXTS)
    assert table["sample"].to_list() == [0, 1, 2] * len(TEXTS)
    assert set(table["policy"]) == {tiny_model.name}
    assert set(table["template"]) == {template_digest(tiny_tokenizer)}


def test_generator_that_gives_nothing_is_told(write, monkeypatch):
    monkeypatch.setitem(GENERATORS._own, "mute", f"{__name__}:mute")
    monkeypatch.setattr("prefopt_core.ground.registry.import_function", lambda path: mute)
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "hi"}])))
    with pytest.raises(DataError, match=r"'mute' gave no response to the prompt 'hi'"):
        generate_candidates(prompts, None, GenerationConfig(generator="mute"), seed=0)


def mute(prompts, model, n, seed):
    return [[] for _ in prompts]
