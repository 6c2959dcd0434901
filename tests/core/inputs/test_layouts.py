"""Prompts and candidates from files: one id for one text, whatever the layout."""

import polars as pl
import pytest

from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.generation.table import generate_candidates
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.candidates import read_candidates
from prefopt_core.inputs.prompts import from_file, from_hub

TEXTS = {"How are you?": ["Fine.", "NA", "1.0"], "Who?": ["Me,\nmyself", "null", '"I"']}
WIDE = 'prompt,1,0,2\nHow are you?,Fine.,NA,1.0\nWho?,"Me,\nmyself",null,"""I"""\n'  # not sorted
LAYOUTS = {
    "AEPO's CSV": ("c.csv", WIDE),
    "AEPO's CSV with instruction": ("c.csv", WIDE.replace("prompt", "instruction")),
    "long": ("c.jsonl", [{"prompt": p, "response": r} for p, own in TEXTS.items() for r in own]),
    "lists": ("c.parquet", [{"prompt": p, "responses": own} for p, own in TEXTS.items()]),
    "messages": (
        "c.jsonl",
        [
            {"prompt": [{"role": "user", "content": p}], "responses": own}
            for p, own in TEXTS.items()
        ],
    ),
}


def candidates(path, **params):
    """The tables `prompts` and `candidates` of a file, through the generator."""
    prompts = check_table("prompts", from_file(0, path=str(path)))
    config = GenerationConfig(generator="file", params={"path": str(path), **params})
    written = generate_candidates(prompts, None, config, seed=0)
    return prompts, check_table("candidates", written)


@pytest.mark.parametrize(("name", "content"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_texts_and_content_ids(write, name, content):
    prompts, written = candidates(write(name, content))
    for text, own in TEXTS.items():
        prompt_id = prompt_id_of([{"role": "user", "content": text}])
        assert prompt_id in prompts["prompt_id"]
        rows = written.filter(prompt_id=prompt_id)
        assert rows["response"].to_list() == own
        assert rows["candidate_id"].to_list() == [candidate_id_of(prompt_id, r) for r in own]
        assert rows["sample"].to_list() == [0, 1, 2]
        assert rows["finish_reason"].to_list() == ["given"] * 3


def test_writer_is_the_column_or_what_the_column_model_says(write):
    path = write("c.csv", "prompt,big,small\nhi,ho,hum\n")
    _, wide = candidates(path, responses=["big", "small"])
    assert wide["policy"].to_list() == ["big", "small"]
    rows = [{"prompt": "hi", "response": r, "model": m} for r, m in (("ho", "big"), ("hum", None))]
    _, long = candidates(write("c.jsonl", rows))
    assert long["policy"].to_list() == ["big", "file"]


def test_system_message_and_earlier_turns_are_part_of_the_prompt(write):
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "why?"},
    ]
    prompts, _ = candidates(write("c.jsonl", [{"prompt": turns, "responses": ["a", "b"]}]))
    assert prompts["prompt"].to_list() == [turns]
    assert prompt_id_of(turns) != prompt_id_of(turns[1:])


def test_same_text_twice_is_two_samples_of_one_candidate(write):
    _, written = candidates(write("c.jsonl", [{"prompt": "hi", "responses": ["a", "b", "a"]}]))
    assert written["candidate_id"].n_unique() == 2
    assert written.height == 3


@pytest.mark.parametrize("blank", ["", " \n", None], ids=["empty", "whitespace", "null"])
def test_blank_responses_are_an_error_or_dropped_or_kept(write, blank):
    path = write("c.jsonl", [{"prompt": "hi", "responses": ["a", blank, "b"]}])
    with pytest.raises(
        DataError, match=r"c\.jsonl, line 1: .*empty.*params\.empty.*'drop'.*'keep'"
    ):
        candidates(path)
    assert candidates(path, empty="drop")[1]["response"].to_list() == ["a", "b"]
    assert candidates(path, empty="keep")[1]["response"].to_list() == ["a", blank or "", "b"]


def test_blank_csv_cell_names_its_row_and_column(write):
    path = write("c.csv", "prompt,a,b\nhi,x,y\nho,x,\n")
    with pytest.raises(DataError, match=r"c\.csv, row 2: the response of 'b' is empty"):
        candidates(path, responses=["a", "b"])


BAD = {
    "one response": (
        [{"prompt": "hi", "responses": ["a", "b"]}, {"prompt": "ho", "responses": ["a"]}],
        r"has 1 response to the prompt 'ho' \(.*line 2\); a preference needs at least 2\. Add",
    ),
    "number": ([{"prompt": "hi", "response": 3.5}], r"line 1: the response 3\.5 of 'file'"),
    "unnamed": ([{"prompt": "hi", "a": "x", "score": 3.5}], r"'a' could be \(not 'score'\).*\[a\]"),
    "responses not a list": ([{"prompt": "hi", "responses": "a"}], r"'responses' is 'a', not a l"),
    "no responses at all": ([{"prompt": "hi"}], r"c\.jsonl: no columns of texts among none"),
}


@pytest.mark.parametrize(("rows", "message"), BAD.values(), ids=BAD)
def test_bad_candidates_are_told_by_file_and_row(write, rows, message):
    with pytest.raises(DataError, match=message):
        candidates(write("c.jsonl", rows))


def test_prompt_without_candidates_in_the_file_is_named(write):
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "hi"}])))
    path = write("c.jsonl", [{"prompt": "ho", "responses": ["a", "b"]}])
    config = GenerationConfig(generator="file", params={"path": str(path)})
    with pytest.raises(DataError, match=r"c\.jsonl has 0 responses to the prompt 'hi'; .* remove"):
        generate_candidates(prompts, None, config, seed=0)


def test_limits_take_the_first_and_may_not_be_too_small(write):
    path = write("c.jsonl", [{"prompt": p, "responses": ["a", "b", "c"]} for p in "xyz"])
    assert from_file(0, path=str(path), limit=2).height == 2
    assert candidates(path, limit=2)[1]["response"].to_list() == ["a", "b"] * 3
    with pytest.raises(ValueError, match=r"'file', setting 'limit': .*greater than or equal to 2"):
        candidates(path, limit=1)


def test_long_layout_repeats_a_prompt_and_the_limit_counts_prompts(write):
    rows = [{"prompt": p, "response": r} for r in "ab" for p in "xyz"]
    path = write("c.jsonl", rows)
    assert from_file(0, path=str(path), limit=2)["prompt"].list.len().to_list() == [1, 1]
    assert {k: len(v) for k, v in read_candidates(path, None, "error").items()} == {
        prompt_id_of([{"role": "user", "content": p}]): 2 for p in "xyz"
    }


def test_folder_is_read_as_a_data_set_and_what_cannot_be_loaded_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder, broken = tmp_path / "set", tmp_path / "broken"
    for place in (folder, broken):
        place.mkdir()
    pl.DataFrame({"prompt": ["hi", "NA"]}).write_parquet(folder / "train.parquet")
    table = check_table("prompts", from_hub(0, dataset=str(folder)))
    assert [m[-1]["content"] for m in table["prompt"]] == ["hi", "NA"]
    (broken / "train.jsonl").write_text('{"prompt": "a"}\n{"pro')
    for name, split in ((folder, "tset"), (broken, "train"), (tmp_path / "none", "train")):
        with pytest.raises(DataError, match=f"Cannot load split '{split}' of the data set '{name}"):
            from_hub(0, dataset=str(name), split=split)
