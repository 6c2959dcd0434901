"""What is planted in a model, a file or a config does nothing: no code of theirs ever runs."""

import io
import json
import os
import pickle
import shutil
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers

from prefopt_core.annotation.reward_model import check_annotate
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.models.encoder import check_encoder, load_encoder
from prefopt_core.models.loading import load_model, load_weights
from prefopt_core.models.start import check_import_model, import_model
from prefopt_core.models.tokens import any_tokenizer


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, marker):
        self._marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self._marker,)


@pytest.fixture
def marker(tmp_path):
    """What planted code would make; after the test it must not be there."""
    marker = tmp_path / "ran"
    yield marker
    assert not marker.exists()


@pytest.fixture
def folder(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "theirs")


@pytest.fixture
def agreeing(monkeypatch):
    """Somebody, or `yes |`, says y to whatever is asked."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n" * 99))


def plant(folder, file, marker, **settings):
    """Give a configuration code that it says it needs."""
    code = f"import os\nos.mkdir({str(marker)!r})\nclass Mine: pass\n"
    (folder / "mine.py").write_text(code)
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


CLASSES = ("AutoConfig", "AutoModelForCausalLM", "AutoModel", "AutoModelForSequenceClassification")


@pytest.mark.slow
@pytest.mark.usefixtures("agreeing")
def test_a_model_that_needs_code_of_its_own_is_refused_before_a_run(folder, marker, tmp_path):
    plant(
        folder,
        "config.json",
        marker,
        model_type="theirs",
        auto_map=dict.fromkeys(CLASSES, "mine.Mine"),
    )
    uses = [
        lambda: list(check_import_model(path=str(folder), chat_template=None)),
        lambda: import_model(tmp_path / "policy", tmp_path, 0, path=str(folder)),
        lambda: load_model(folder),
        lambda: load_weights(transformers.AutoModelForSequenceClassification, folder),
        lambda: list(check_annotate(model=str(folder))),
        lambda: list(check_encoder(str(folder))),
        lambda: load_encoder(str(folder), "cpu"),
    ]
    for use in uses:
        with pytest.raises(ConfigError, match=r"code that it brings .* which prefopt never runs"):
            use()


@pytest.mark.usefixtures("agreeing")
def test_code_beside_a_model_of_a_known_type_is_not_run(folder, marker):
    plant(folder, "config.json", marker, auto_map=dict.fromkeys(CLASSES, "mine.Mine"))
    plant(folder, "tokenizer_config.json", marker, auto_map={"AutoTokenizer": [None, "mine.Mine"]})
    assert list(check_import_model(path=str(folder), chat_template=None)) == []
    assert load_model(folder).config.model_type == "llama"


@pytest.mark.usefixtures("agreeing")
def test_a_tokenizer_that_needs_code_of_its_own_is_refused(folder, marker):
    plant(
        folder,
        "tokenizer_config.json",
        marker,
        tokenizer_class="Theirs",
        auto_map={"AutoTokenizer": ["mine.Mine", None]},
    )
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="which prefopt never runs"):
        any_tokenizer(folder)


def test_pickles_beside_or_in_the_place_of_weights_do_nothing(folder, marker):
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "scheduler.pt"):
        torch.save({"weight": Payload(marker)}, folder / name)
    (folder / "data.pkl").write_bytes(pickle.dumps(Payload(marker)))
    load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="Cannot load"):
        load_weights(transformers.AutoModelForCausalLM, folder)
    with pytest.raises(ConfigError, match="Cannot load the sentence encoder"):
        load_encoder(str(folder), "cpu")
    (folder / "model.safetensors").write_bytes((folder / "pytorch_model.bin").read_bytes())
    with pytest.raises(ConfigError):
        load_weights(transformers.AutoModelForCausalLM, folder)


def test_a_sentence_encoder_imports_nothing_that_its_list_of_modules_names(folder, marker):
    plant(folder, "config.json", marker)
    modules = [{"idx": 0, "name": "0", "path": "", "type": "mine.Mine"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ConfigError, match="which prefopt never runs"):
        load_encoder(str(folder), "cpu")


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", ["x"], 3])
def test_a_list_of_weights_names_only_files_beside_it(folder, name):
    index = {"weight_map": {"lm_head.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="no list of the weight files beside it"):
        list(check_import_model(path=str(folder), chat_template=None))


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', "[" * 100_000])
def test_a_damaged_list_of_weights_is_told(folder, content):
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(ConfigError, match="no list of the weight files beside it"):
        list(check_import_model(path=str(folder), chat_template=None))


TAGS = ["!!python/object/apply:os.mkdir ['{}']", "!!python/name:os.mkdir {}", "!mine {}"]


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_in_yaml_is_refused(marker, tag):
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_yaml(f"name: {tag.format(marker)}\n", "run.yaml")


def test_a_pickle_in_the_place_of_a_table_is_refused(marker, tmp_path):
    for name in ("rows.parquet", "rows.jsonl", "rows.csv", "rows.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps([{"prompt": Payload(marker)}]))
        with pytest.raises(DataError):
            read_rows(tmp_path / name)
    np.save(tmp_path / "v.npy", np.array([Payload(marker)], dtype=object), allow_pickle=True)
    (tmp_path / "v.npy").rename(tmp_path / "v.parquet")
    with pytest.raises(DataError):
        list(VectorFile(tmp_path / "v.parquet", "v").blocks())


def test_objects_that_a_parquet_file_says_it_holds_are_not_made(marker, tmp_path):
    told = {
        "ARROW:extension:name": "arrow.py_extension_type",
        "ARROW:extension:metadata": pickle.dumps(Payload(marker), 0),  # of letters alone
    }
    path = tmp_path / "rows.parquet"
    field = pa.field("prompt", pa.string(), metadata=told)
    pq.write_table(pa.table([["Hi?"]], schema=pa.schema([field])), path)
    assert [row.values["prompt"] for row in read_rows(path)] == ["Hi?"]
    field = pa.field("v", pa.list_(pa.float32()), metadata=told)
    pq.write_table(pa.table([[[1.0]]], schema=pa.schema([field])), path)
    assert [block.tolist() for block in VectorFile(path, "v").blocks()] == [[[1.0]]]
    assert pl.read_parquet(path).height == 1
