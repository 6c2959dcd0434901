"""Paths are literal.

No name of a file or folder is a pattern, a home folder, a URL or a column's value.
"""

import json
import shutil

import polars as pl
import pytest

from prefopt_core.inputs.prompts import from_file, from_hub
from prefopt_core.inputs.vectors import VectorFile
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.store import Store

ODD = "a[1] b*?~%20#{x,y}=ü"
"""Brackets, stars, blanks, percent signs, hashes, umlauts: all are allowed in names."""


def texts(table):
    return ", ".join(messages[-1]["content"] for messages in table["prompt"].to_list())


def prompts(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"prompt": [text]}).write_parquet(path)
    return path


@pytest.mark.case(
    "`pool[1].parquet` beside `pool1.parquet`",
    reports="pola-rs/polars#24608",
    before="pool1.parquet was read: wrong",
    expected="right",
)
def test_brackets_are_no_pattern(tmp_path):
    prompts(tmp_path / "pool1.parquet", "wrong")
    return texts(from_file(0, path=str(prompts(tmp_path / "pool[1].parquet", "right"))))


@pytest.mark.case(
    "`pool*.parquet`, a file of that name",
    reports="tried here",
    before="all files that fit were read: right, wrong",
    expected="right",
)
def test_a_star_is_no_pattern(tmp_path):
    prompts(tmp_path / "pool1.parquet", "wrong")
    return texts(from_file(0, path=str(prompts(tmp_path / "pool*.parquet", "right"))))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            marks=pytest.mark.case(
                f"Prompts in {name.replace('*', '∗')}",
                reports="tried here",
                before=before,
                expected="right",
            ),
        )
        for name, before in {
            f"{ODD}/p.parquet": "refused: cannot be read as Parquet: expanded paths were empty",
            f"{ODD}/p.csv": "right",
            "year=2020/p.parquet": "right",
        }.items()
    ],
)
def test_names_of_prompts(tmp_path, name):
    path = tmp_path / name
    if path.suffix == ".parquet":
        prompts(path, "right")
    else:
        path.parent.mkdir()
        path.write_text("prompt\nright\n")
    return texts(from_file(0, path=str(path)))


@pytest.mark.case(
    "A relative folder called `~`",
    reports="tried here",
    before="refused: no such file, in the home folder",
    expected="right",
)
def test_a_tilde_is_no_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prompts(tmp_path / "~" / "p.parquet", "right")
    return texts(from_file(0, path="~/p.parquet"))


@pytest.mark.case(
    "A folder for `source: hub` with brackets, another beside it",
    reports="huggingface/datasets#7468",
    before="data[1]: the files of data1 were read: wrong",
    expected="right",
)
def test_folders_that_datasets_reads(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    for folder, text in {"data1": "wrong", "data[1]": "right"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "train.jsonl").write_text(json.dumps({"prompt": text}) + "\n")
    return texts(from_hub(0, dataset=str(tmp_path / "data[1]")))


@pytest.mark.case(
    "A store in an odd folder, another beside it",
    reports="tried here",
    before="ComputeError: expanded paths were empty",
    expected="right, right",
)
def test_the_store(tmp_path):
    store = Store(tmp_path / ODD / "store[1]")
    frame = pl.DataFrame({"prompt_id": ["1"], "prompt": [[{"role": "user", "content": "right"}]]})
    shard = store.put_table("prompts", frame)
    stored = Artifact(table="prompts", shards=(shard,))
    return f"{texts(store.read(stored))}, {texts(store.scan(stored).collect())}"


@pytest.mark.case(
    "A pool of embeddings in an odd folder",
    reports="tried here",
    before="right",
    expected="2 vectors of 2 numbers, beside them id",
)
def test_embeddings(tmp_path):
    (tmp_path / ODD).mkdir()
    frame = pl.DataFrame({"id": [1, 2], "v": [[1.0, 0.0], [0.0, 1.0]]})
    frame.write_parquet(tmp_path / ODD / "v.parquet")
    file = VectorFile(tmp_path / ODD / "v.parquet", "v")
    beside = ", ".join(file.others().collect().columns)
    return f"{file.rows} vectors of {file.d} numbers, beside them {beside}"


@pytest.mark.case(
    "A model in an odd folder",
    reports="tried here",
    before="right",
    expected="chat_template.jinja, config.json, …, model.safetensors, tokenizer.json, …",
)
def test_models(tmp_path, tiny_model):
    from prefopt_core.models.start import import_model

    shutil.copytree(tiny_model, tmp_path / ODD / "model[1]")
    (tmp_path / "out[2]").mkdir()
    import_model(tmp_path / "out[2]", tmp_path, 0, path=str(tmp_path / ODD / "model[1]"))
    return ", ".join(sorted(path.name for path in (tmp_path / "out[2]").iterdir()))
