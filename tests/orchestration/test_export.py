"""`prefopt export`: a run's pairs as a data set with a card, or its policy; and to a hub."""

import json
import os
import re

import pytest
from huggingface_hub import DatasetCard, ModelCard

from prefopt_core.export.preferences import COLUMNS
from prefopt_core.reports.cards import COLUMNS as EXPLAINED
from prefopt_core.store.runs import last_run
from prefopt_core.training.log import FLAGGED, STEPS


@pytest.fixture
def load(tmp_path):
    def load(folder):
        from datasets import load_dataset

        return load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))

    return load


def test_a_run_becomes_a_data_set_with_a_card(prefopt, finished, tmp_path, load):
    code, output, _ = prefopt("export", tmp_path / "out")
    assert code == 0
    data = load(tmp_path / "out")
    assert set(data) == {"train", "test"}
    train, test = ({row["prompt_id"] for row in data[split]} for split in ("train", "test"))
    assert test
    assert not train & test
    assert {row["round"] for row in data["test"]} == {2}
    assert all(row["margin"] > 0 for row in data["test"])
    assert f"{len(data['train'])} pairs of" in output
    assert f"{len(data['test'])} on held-out prompts" in output

    card = DatasetCard.load(tmp_path / "out" / "README.md")
    assert card.data.task_categories == ["text-generation"]
    assert card.data.license is None
    assert f"| train | {len(data['train'])} |" in card.text
    assert "strategy aepo, k 2" in card.text
    assert "12 labels of a budget of 13" in card.text
    assert "| win rate |" in card.text
    assert "Adapters are merged" not in card.text  # it has none
    assert "How far the labels can be trusted" in card.text
    assert "flow: align" in card.text
    assert list(EXPLAINED) == list(COLUMNS)
    assert str(tmp_path.parent) not in card.text  # of prompts and judge, which lie beside it


def test_a_later_export_keeps_the_licence_and_leaves_no_split_behind(
    prefopt, finished, tmp_path, load
):
    folder = tmp_path / "out"
    prefopt("export", folder)
    card = DatasetCard.load(folder / "README.md")
    card.data.license = "cc-by-4.0"
    card.save(folder / "README.md")
    first = last_run(finished).preferences[0]
    other = ("export", folder, "--artifact", first.digest[:12], "--format", "jsonl")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, _, error = prefopt(*other)
    assert (code, "train.parquet has other pairs" in error, "--overwrite" in error) == (2, 1, 1)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert prefopt("export", folder)[0] == 0  # the same pairs
    assert prefopt(*other, "--overwrite")[0] == 0
    assert {path.name for path in folder.iterdir()} == {"train.jsonl", "README.md"}
    assert DatasetCard.load(folder / "README.md").data.license == "cc-by-4.0"
    assert {row["source"] for row in load(folder)["train"]} == {"gold"}


@pytest.mark.parametrize("name", ["README.md", "test.jsonl"])
def test_what_was_not_exported_is_left_alone(prefopt, finished, tmp_path, name):
    mine = tmp_path / name
    mine.write_text("mine")
    code, _, error = prefopt("export", tmp_path)
    assert code == 2
    assert f"{name} is there already" in error
    assert mine.read_text() == "mine"
    assert not (tmp_path / "train.parquet").exists()


@pytest.mark.slow
def test_texts_of_models_are_no_markup_in_a_card(prefopt, settings, config_file, store, tmp_path):
    settings["annotation"]["guidelines"] = "<script>alert(1)</script> | **bold** [x](http://y.z)"
    settings["rounds"] = settings["rounds"][:1]
    assert prefopt("run", config_file(settings), "--no-server", "--quiet")[0] == 0
    assert prefopt("export", tmp_path / "out")[0] == 0
    text = (tmp_path / "out" / "README.md").read_text()
    assert "```\nprefopt run run.yaml  # prefopt run run.yaml\n```\n" in text
    assert "&#39;" not in text
    markdown = re.sub(r"^```\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)  # never markup
    assert "&lt;script&gt;" in markdown
    assert "<script" not in markdown
    assert "bold" in markdown
    assert "**bold" not in markdown
    assert "](http" not in markdown


def test_policy_is_the_one_that_the_run_kept(prefopt, finished, tmp_path):
    code, _, error = prefopt("export", tmp_path / "x", "--artifact", "train")
    assert code == 2
    assert re.search(r"'train' names 2 results .* its policy --policy", error)
    assert prefopt("export", tmp_path / "x", "--policy", "--artifact", "train")[0] == 2

    code, *_ = prefopt("export", tmp_path / "model", "--policy")
    assert code == 0
    kept = finished.folder_path(last_run(finished).policy)
    weights = "model.safetensors"
    assert (tmp_path / "model" / weights).read_bytes() == (kept / weights).read_bytes()
    made = [path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()]
    assert {*made} == {0o666 & ~_umask()}
    assert {path.name for path in kept.glob("*.jsonl")} == {STEPS, FLAGGED}
    assert not [*(tmp_path / "model").glob("*.jsonl")]
    code, _, error = prefopt("export", tmp_path / "model")  # pairs
    assert (code, "has an exported model" in error) == (2, True)
    card = ModelCard.load(tmp_path / "model" / "README.md")
    assert card.data.library_name == "transformers"
    assert card.data.base_model is None  # a folder of this machine
    assert "learning_rate 0.001" in card.text
    assert "| win rate |" in card.text
    assert "Adapters are merged" not in card.text  # it has none
    assert str(tmp_path.parent) not in card.text


def _umask():
    os.umask(mask := os.umask(0))
    return mask


def test_a_model_replaces_an_earlier_export_and_nothing_else(prefopt, finished, tmp_path):
    words, folder = ("export", tmp_path / "model", "--policy"), tmp_path / "model"
    assert prefopt(*words)[0] == 0
    code, _, error = prefopt(*words)
    assert (code, "Add --overwrite" in error) == (2, True)
    (folder / "notes.txt").write_text("mine")
    code, _, error = prefopt(*words, "--overwrite")
    assert (code, "notes.txt is no part of the new export" in error) == (2, True)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    (folder / "config.json").write_text("{}")
    assert prefopt(*words, "--overwrite")[0] == 0
    assert (folder / "config.json").read_text() != "{}"
    (folder / "README.md").unlink()
    code, _, error = prefopt(*words, "--overwrite")
    assert (code, "no export" in error, (folder / "config.json").is_file()) == (2, True, True)


def test_rows_have_ids_that_trace_finds(prefopt, finished, tmp_path):
    prefopt("export", tmp_path / "out", "--format", "jsonl")
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").open()]
    assert len({row["pair_id"] for row in rows}) == len(rows)
    assert prefopt("trace", rows[-1]["pair_id"])[0] == 0
    (row, *_) = [json.loads(line) for line in (tmp_path / "out" / "test.jsonl").open()]
    code, output, _ = prefopt("trace", f"{tmp_path / 'out' / 'test.jsonl'}:1")
    titles = re.findall(r"^(\w+)", output, re.MULTILINE)
    assert (code, titles[:2], titles[-1]) == (0, ["pair", "verdict"], "run")
    assert titles.count("verdict") == 2  # of what the start policy said, and the kept one
    assert f"pair {row['pair_id']}\n" in output
    assert row["chosen"][0]["content"][:40] in output
    scores = dict(re.findall(r"1: (\w+)\n  answer +given, scores (\S+)", output))
    assert float(scores["chosen"]) - float(scores["rejected"]) == pytest.approx(row["margin"])
    assert len(re.findall(r"^  (?:chosen|rejected) +sample ", output, re.MULTILINE)) == 2
