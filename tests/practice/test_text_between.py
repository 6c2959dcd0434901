"""Text between prompt and response."""

import logging
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.export.preferences import export_preferences, otherwise_written
from prefopt_core.generation.transformers_local import generate
from prefopt_core.ground.ids import Prompt
from prefopt_core.models.start import import_model
from prefopt_core.models.tokenised import tokenised, with_token_ids
from prefopt_core.models.tokens import PLAIN_TEMPLATE, load_tokenizer, prompt_token_ids
from tests.families import FAMILIES
from tests.scripted import behind, scripted_model

STORY = [{"role": "user", "content": "The red ball rolled away."}]
STORIES = Path(__file__).parents[3] / "shared" / "model" / "stories260K-hf"


def answer(text):
    return [{"role": "assistant", "content": text}]


@pytest.fixture
def sampled(tmp_path):
    """The text of what a model writes after the story's first sentence, behind that sentence."""

    def sampled(family, template, script):
        tokenizer = FAMILIES[family].tokenizer()
        tokenizer.chat_template = template or tokenizer.chat_template
        ids = prompt_token_ids(tokenizer, STORY)
        folder = scripted_model(tmp_path / "model", tokenizer, behind(ids, script(tokenizer)))
        load_tokenizer.cache_clear()
        ((response,),) = generate([Prompt("p", STORY)], folder, 1, 0, max_new_tokens=40)
        _, again = tokenised(folder, STORY, response.text)
        same = "the same" if again == list(response.token_ids) else "other"
        return f"{response.text!r}, {same} token ids"

    return sampled


def words(text):
    return lambda tokenizer: tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.case(
    "A base model with a SentencePiece-like tokenizer goes on with ▁Then",
    reports="huggingface/transformers#28776, karpathy/llama2.c#76",
    before="'Then she saw it.'",
    expected="' Then she saw it.', the same token ids",
)
def test_the_text_has_the_space_of_its_first_token(sampled):
    return sampled("Llama 2", PLAIN_TEMPLATE, words("Then she saw it."))


@pytest.mark.case(
    "The same with a tokenizer that puts a space at the start of a text alone",
    reports="huggingface/transformers#22710",
    before="'Then she saw it.'",
    expected="' Then she saw it.', the same token ids",
)
def test_newer_sentencepiece_tokenizers_too(sampled):
    return sampled("Zephyr", PLAIN_TEMPLATE, words("Then she saw it."))


@pytest.mark.case(
    "A template that writes the space before a response: it is no part of the text",
    reports="tried here",
    before="right",
    expected="'Then she saw it.', the same token ids",
)
def test_the_templates_space_is_no_part_of_the_text(sampled):
    def script(tokenizer):
        ids = tokenizer("x Then she saw it.", add_special_tokens=False)["input_ids"]
        start = tokenizer("x", add_special_tokens=False)["input_ids"]
        return ids[len(start) :]

    return sampled("Mistral v3", None, script)


@pytest.mark.case(
    "The same with byte-level BPE (Falcon)",
    reports="tried here",
    before="' Then she saw it.', the same token ids: a second space for others",
    expected="'Then she saw it.', the same token ids",
)
def test_the_templates_space_is_no_part_of_the_text_of_byte_level_bpe(sampled):
    return sampled("Falcon", None, words(" Then she saw it."))


def pairs(folder, chosen, rejected):
    """A table of one pair with token ids, and texts as if they had been sampled."""
    rows = {
        "prompt_id": ["p"], "prompt": [STORY], "chosen": [answer(chosen)],
        "rejected": [answer(rejected)], "chosen_id": ["a"], "rejected_id": ["b"],
        "annotator": ["x"], "source": ["gold"], "confidence": [1.0], "margin": [1.0], "round": [1],
    }  # fmt: skip
    return with_token_ids(pl.DataFrame(rows), folder)


@pytest.fixture
def trained_by_trl(tmp_path, caplog, monkeypatch):
    """Export a pair and have TRL read it: whether it gets the ids that were trained."""

    def trained(folder, table, *, as_text):
        from datasets import load_dataset
        from transformers import AutoModelForCausalLM
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        monkeypatch.setattr(logging.getLogger("trl"), "propagate", True)
        export_preferences(table, tmp_path / "out", "parquet", as_text=as_text)
        data = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "c"), split="train")
        arguments = DPOConfig(
            output_dir=str(tmp_path / "w"), use_cpu=True, bf16=False, report_to=[]
        )
        load_tokenizer.cache_clear()
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = load_tokenizer(folder)
        trainer = DPOTrainer(model, args=arguments, train_dataset=data, processing_class=tokenizer)
        (row,) = trainer.train_dataset
        ours = table.row(0, named=True)
        end = len(ours["chosen_token_ids"])
        same = (
            row["prompt_ids"] == ours["prompt_token_ids"]
            and row["chosen_ids"][:end] == ours["chosen_token_ids"]
            and not tokenizer.decode(row["chosen_ids"][end:]).strip()
        )
        warned = "is not a prefix" in caplog.text
        return f"{'the' if same else 'other'} ids that were trained{', warned' * warned}"

    return trained


@pytest.mark.case(
    "A pair of a SentencePiece-like base model, exported as texts and read by TRL",
    reports="huggingface/trl#6105",
    before="“…rolled away.Then she saw it.”: other ids",
    expected="the ids that were trained",
)
def test_trl_gets_the_ids_that_were_trained_from_texts(tmp_path, trained_by_trl):
    tokenizer = FAMILIES["Llama 2"].tokenizer()
    tokenizer.chat_template = PLAIN_TEMPLATE
    folder = scripted_model(tmp_path / "model", tokenizer, {})
    table = pairs(folder, " Then she saw it.", " Her hello.")
    return trained_by_trl(folder, table, as_text=True)


@pytest.mark.case(
    "A pair for a chat model, exported as messages and read by TRL",
    reports="tried here",
    before="right",
    expected="the ids that were trained",
)
def test_trl_gets_the_ids_that_were_trained_from_messages(tmp_path, trained_by_trl):
    folder = scripted_model(tmp_path / "model", FAMILIES["Mistral v3"].tokenizer(), {})
    table = pairs(folder, "Then she saw it.", "Her hello.")
    return trained_by_trl(folder, table, as_text=False)


@pytest.mark.case(
    "An export of a response that was cut off, and of one with reasoning",
    reports="tried here",
    before="not told",
    expected="1 cut off, 1 with other text (reasoning, white space)",
)
def test_what_an_export_gives_otherwise_is_counted(tmp_path):
    tokenizer = FAMILIES["Qwen3"].tokenizer()
    tokenizer.save_pretrained(tmp_path / "model")
    load_tokenizer.cache_clear()
    table = pairs(tmp_path / "model", "Then she saw it.", "Her hello.")
    thought = words("<think>\nHm.\n</think>\n\nThen she saw it.<|im_end|>")(tokenizer)
    cut = table["rejected_token_ids"].list.head(6)
    changed = table.with_columns(
        chosen_token_ids=pl.Series([thought], dtype=pl.List(pl.Int32)), rejected_token_ids=cut
    )
    counts = otherwise_written(changed, [tmp_path / "model"])
    assert not otherwise_written(table, [tmp_path / "model"])
    return ", ".join(f"{count} {why}" for why, count in sorted(counts.items()))


@pytest.mark.skipif(not STORIES.is_dir(), reason=f"{STORIES} is not here")
def test_a_real_tokenizer_keeps_its_spaces(tmp_path):
    """Six of six lost it before."""
    start, folder = "Once upon a time, there was a little girl.", tmp_path / "policy"
    folder.mkdir()
    import_model(folder, tmp_path, 0, path=str(STORIES), chat_template="plain")
    prompt = Prompt("p", [{"role": "user", "content": start}])
    (responses,) = generate([prompt], folder, 6, 0, max_new_tokens=24)
    tokenizer = load_tokenizer(folder)
    for response in responses:
        whole = [*response.prompt_token_ids, *response.token_ids]
        assert tokenizer.decode(whole, skip_special_tokens=True) == start + response.text
    assert any(response.text.startswith(" ") for response in responses)
