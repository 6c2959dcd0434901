"""Preferences for other trainers: `datasets` and TRL take them as they are."""

import copy
import json
import os

import polars as pl
import pytest
import torch

from prefopt_core.export.preferences import COLUMNS, export_preferences
from prefopt_core.ground.errors import DataError
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.lint.endings import truncated
from prefopt_core.lint.findings import Known
from prefopt_core.lint.reading import read_pairs
from prefopt_core.lint.texts import texts_of

ROWS = [
    {"prompt": "How do I reset it?", "chosen": "Press the button.", "rejected": "NA"},
    {"prompt": "Zürich?", "chosen": "Thank you\nvery much.", "rejected": "the light is on"},
    {"prompt": "null", "chosen": '"1.0"', "rejected": "on, and off"},
]


@pytest.fixture
def preferences(write):
    return read_preferences(write("seed.jsonl", ROWS))


def said(role, text):
    return [{"role": role, "content": text}]


@pytest.fixture
def load(tmp_path):
    def load(folder):
        from datasets import load_dataset

        data = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
        assert list(data) == ["train"]
        return data["train"]

    return load


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
@pytest.mark.parametrize("as_text", [False, True], ids=["messages", "text"])
def test_folder_is_a_data_set_with_the_columns_of_trl(preferences, tmp_path, load, form, as_text):
    folder = tmp_path / "out" / "deep"
    path = export_preferences(preferences, folder, form, as_text=as_text)
    assert path == folder / f"train.{form}"
    assert os.stat(path).st_mode & 0o777 == 0o644
    data = load(folder)
    assert tuple(data.column_names) == COLUMNS
    for row, original in zip(data, ROWS, strict=True):
        sides = [row[side] for side in ("prompt", "chosen", "rejected")]
        texts = [original[side] for side in ("prompt", "chosen", "rejected")]
        roles = ("user", "assistant", "assistant")
        expected = [said(role, text) for role, text in zip(roles, texts, strict=True)]
        assert sides == (texts if as_text else expected)
        assert (row["source"], row["confidence"], row["margin"]) == ("gold", 1.0, 1.0)


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_file_of_sampled_pairs_is_said_to_be_cut_off_as_often_as_the_run_said(tmp_path, form):
    texts = [{**ROWS[0], "prompt": f"Why {i}?", "rejected": f"It is the {i}"} for i in range(30)]
    (tmp_path / "seed.jsonl").write_text("\n".join(map(json.dumps, texts)))
    rejected = [[i, 8, 7, 10 + i] if i < 20 else [i, 2] for i in range(30)]
    pairs = read_preferences(tmp_path / "seed.jsonl").with_columns(
        chosen_token_ids=pl.Series([[5, 6, 2]] * 30), rejected_token_ids=pl.Series(rejected)
    )
    (in_run,) = truncated(texts_of(pairs), Known())
    file = export_preferences(pairs, tmp_path, form)
    (in_file,) = truncated(texts_of(read_pairs(file).pairs), Known())
    assert (in_run.count, in_run.rows) == (20, tuple(range(20)))
    assert in_file == in_run


def test_later_export_replaces_the_earlier_one_of_any_form(preferences, tmp_path, load):
    for form in ("parquet", "jsonl", "jsonl", "parquet"):
        export_preferences(preferences, tmp_path / "out", form)
    export_preferences(preferences.head(1), tmp_path / "out", "jsonl")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train.jsonl"]
    assert load(tmp_path / "out").num_rows == 1


def test_what_is_exported_can_be_read_back_as_a_seed(preferences, tmp_path):
    for form in ("parquet", "jsonl"):
        path = export_preferences(preferences, tmp_path / form, form)
        assert read_preferences(path).equals(preferences)


def test_conversation_of_several_messages_is_no_text(preferences, tmp_path):
    turns = pl.concat_list(pl.col("prompt"), pl.col("prompt"))
    with pytest.raises(DataError, match=r"several messages.*Export messages \(leave out --text\)"):
        export_preferences(preferences.with_columns(prompt=turns), tmp_path, "jsonl", as_text=True)


@pytest.mark.parametrize("as_text", [False, True], ids=["messages", "text"])
def test_trl_trains_on_it_without_conversion(
    preferences, tmp_path, load, tiny_model, tiny_tokenizer, as_text
):
    from transformers import AutoModelForCausalLM
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    export_preferences(preferences, tmp_path / "out", "parquet", as_text=as_text)
    tokenizer = copy.deepcopy(tiny_tokenizer)
    if as_text:
        tokenizer.chat_template = None
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    before = model.lm_head.weight.detach().clone()
    arguments = DPOConfig(
        output_dir=str(tmp_path / "work"), max_steps=1, per_device_train_batch_size=2, use_cpu=True,
        bf16=False, report_to=[], learning_rate=1e-3, save_strategy="no", warmup_steps=0,
    )  # fmt: skip
    trainer = DPOTrainer(
        model, args=arguments, train_dataset=load(tmp_path / "out"), processing_class=tokenizer
    )
    assert trainer.train().training_loss == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-3)
    assert not torch.equal(model.lm_head.weight, before)


@pytest.mark.parametrize("content", ['{"prompt": "mine"}\n', "", "[1]\n", "not JSON\n"])
def test_a_file_that_was_not_exported_is_left_alone(preferences, tmp_path, content):
    mine = tmp_path / "train.jsonl"
    mine.write_text(content)
    with pytest.raises(DataError, match=r"train\.jsonl is there already"):
        export_preferences(preferences, tmp_path, "parquet")
    assert mine.read_text() == content
