"""Rows of users' files: text stays text, and what is wrong is told by file and row."""

import json

import polars as pl
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.prompt_columns import prompt_column, prompt_of
from prefopt_core.inputs.prompts import from_file


def values(path):
    return [row.values for row in read_rows(path)]


@pytest.mark.parametrize("text", ["NA", "null", "NaN", "1.0", "None", "true", "007", "", "  "])
def test_csv_cells_stay_the_text_they_are(write, text):
    assert values(write("a.csv", f"prompt,response\nhi,{text}\n")) == [
        {"prompt": "hi", "response": text}
    ]


@pytest.mark.parametrize(
    ("content", "cell"),
    [
        (b'\xef\xbb\xbfprompt,a\nhi,"one\ntwo"\n', "one\ntwo"),
        (b'prompt,a\r\nhi,"one\r\ntwo"\r\n\r\n', "one\r\ntwo"),
        (b'prompt,a\nhi,"say ""hi"", twice"', 'say "hi", twice'),
        (b'prompt,a\nhi,5" disk\n', '5" disk'),
        (b"prompt,a\nhi,# no comment\n", "# no comment"),
        ("prompt,a\nhi,Zürich 東京\n".encode(), "Zürich 東京"),
        (b"prompt,a\nhi," + b"x" * 200_000, "x" * 200_000),
    ],
    ids=[
        "BOM and line break", "Windows", "doubled quotes", "quote inside", "hash", "UTF-8", "long"
    ],
)  # fmt: skip
def test_csv_is_read_as_spreadsheets_write_it(write, content, cell):
    assert values(write("a.csv", content)) == [{"prompt": "hi", "a": cell}]


def test_jsonl_may_begin_with_a_bom_and_hold_blank_lines_and_any_line_separator(write):
    content = '\ufeff\n{"prompt": "a\u2028b\\n\x85c"}\n\n'
    assert values(write("a.jsonl", content)) == [{"prompt": "a\u2028b\n\x85c"}]


def test_formats_give_the_same_rows(write):
    rows = [{"prompt": "hi", "response": "NA"}, {"prompt": "ho", "response": "1.0"}]
    assert values(write("a.jsonl", rows)) == rows
    assert values(write("a.json", "\ufeff" + json.dumps(rows, indent=2))) == rows
    assert values(write("a.parquet", rows)) == rows
    assert values(write("A.CSV", "prompt,response\nhi,NA\nho,1.0\n")) == rows


PARQUET = b"PAR1" + bytes(40)
BAD_FILES = {
    "wrong suffix": ("a.txt", "x", r"ends in '\.txt'; prefopt reads \.jsonl, \.json, \.csv"),
    "ragged: more": ("a.csv", "prompt,a\nhi,1\nho,1,2\n", r"a\.csv, row 2 has 3 cells.* has 2.*qu"),
    "ragged: fewer": ("a.csv", "prompt,a,b\nhi,1\n", r"a\.csv, row 1 has 2 cells; .*header has 3"),
    "open quote": ("a.csv", 'prompt,a\nhi,"1\nho,2\n', r"a\.csv, line 3: not CSV \(.*quotes"),
    "text after quote": ("a.csv", 'prompt,a\nhi,"5" disk\n', r"a\.csv, line 2: not CSV \(.*double"),
    "repeated column": ("a.csv", "prompt,a,a\nhi,1,2\n", r"'a' names several columns\. Rename"),
    "CSV not UTF-8": ("a.csv", b"prompt,a\nhi,\xe9\n", r"a\.csv is not UTF-8.*Save it as UTF-8"),
    "JSONL not UTF-8": ("a.jsonl", b'{"prompt": "\xe9"}', r"a\.jsonl is not UTF-8.*Save it"),
    "broken line": ("a.jsonl", '{"prompt": "a"}\n{"pro', r"a\.jsonl, line 2: not JSON \(.*one obj"),
    "JSON array": ("a.jsonl", '[\n{"prompt": "a"}]', r"a\.jsonl, line 1: not JSON"),
    "not an object": ("a.jsonl", '["prompt"]', r"a\.jsonl, line 1: a list, not an object"),
    "too deep": ("a.jsonl", "[" * 100_000, r"a\.jsonl, line 1: not JSON"),
    "half a character": ("a.jsonl", '{"prompt": "\\ud83d"}', r"line 1: half of a char.*Remove it"),
    "JSON of an object": ("a.json", '{"data": []}', r"a\.json: a dict, not an array of rows.*jq"),
    "JSON of numbers": ("a.json", '[{"prompt": "a"}, 1]', r"a\.json, row 2: a int, not an object"),
    "JSON cut off": ("a.json", '[{"prompt": "a"}, {"pro', r"a\.json: not JSON .*cut off"),
    "JSON repeats": ("a.json", '[{"a": 1, "a": 2}]', r"a\.json: not JSON \('a' stands there twice"),
    "empty array": ("a.json", "[]", r"a\.json has no rows"),
    "truncated Parquet": ("a.parquet", PARQUET, r"a\.parquet cannot be read.*cut off; write it"),
    "no Parquet": ("a.parquet", "prompt,a\nhi,1\n", r"a\.parquet cannot be read as Parquet"),
    "no bytes": ("a.csv", "", r"a\.csv has no rows"),
    "only a header": ("a.csv", "prompt,a\n", r"a\.csv has no rows"),
    "only blank lines": ("a.jsonl", "\n\n", r"a\.jsonl has no rows"),
}


@pytest.mark.parametrize(("name", "content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_file_that_cannot_be_read_is_named_with_what_to_do(write, name, content, message):
    with pytest.raises(DataError, match=message):
        values(write(name, content))


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no file .*/none\.csv\. Give the path of"):
        values(tmp_path / "none.csv")
    with pytest.raises(DataError, match=rf"{tmp_path} is a folder\. Give the path of a \.jsonl"):
        values(tmp_path)
    (tmp_path / "b.csv").write_text("prompt\nhi\n")
    with pytest.raises(DataError, match=rf"{tmp_path} is a folder\. Name one file in it: b\.csv"):
        values(tmp_path)


def test_parquet_without_rows_says_so(tmp_path):
    pl.DataFrame({"prompt": []}, schema={"prompt": pl.String}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has no rows"):
        values(tmp_path / "a.parquet")


USER, ASSISTANT = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}
BAD_PROMPTS = {
    "empty": ([{"prompt": "a"}, {"prompt": ""}], r"line 2: the prompt is empty\. Remove the row"),
    "whitespace": ([{"prompt": " \n\t "}], r"line 1: the prompt is empty"),
    "null": ([{"prompt": None}], r"line 1: the prompt is empty"),
    "number": ([{"prompt": 3}], r"line 1: 'prompt' is '3'; expected a text or a list of \{role"),
    "no messages": ([{"prompt": []}], r"'prompt' is '\[\]'; expected"),
    "list of texts": ([{"prompt": ["hi"]}], r"expected a text or a list"),
    "unknown role": ([{"prompt": [USER | {"role": "tool"}]}], r"role: system \| user \| assistant"),
    "content is no text": ([{"prompt": [USER | {"content": ["x"]}]}], r"line 1: 'prompt' is"),
    "ends with the assistant": ([{"prompt": [USER, ASSISTANT]}], r"line 1: .*assistant's; a pr"),
    "empty last message": ([{"prompt": [USER | {"content": " "}]}], r"line 1: the prompt is empty"),
    "mixed kinds": (
        [{"prompt": "a"}, {"prompt": [USER]}],
        r"a text \(.*line 1\) and a list of messages \(.*line 2\)\. Make them all",
    ),
    "duplicate": ([{"prompt": "a"}, {"prompt": "a"}], r"line 2 repeats .*line 1: 'a'\. Remove one"),
    "no such column": ([{"question": "a"}], r"no column 'prompt' or 'instruction' among"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), BAD_PROMPTS.values(), ids=BAD_PROMPTS)
def test_bad_prompt_is_told_by_file_and_row(write, rows, message):
    path = write("p.jsonl", rows)
    with pytest.raises(DataError, match=message) as caught:
        from_file(0, path=str(path))
    assert str(path) in str(caught.value)


def test_named_prompt_column_must_be_there(write):
    path = write("p.jsonl", [{"prompt": "a"}])
    with pytest.raises(DataError, match=r"no column 'question' among 'prompt'\. Set `column`"):
        from_file(0, path=str(path), column="question")


def test_prompt_column_is_prompt_or_instruction_or_the_one_that_is_named(write):
    (row,) = read_rows(write("p.jsonl", [{"question": "q", "instruction": "i", "a": "b"}]))
    assert prompt_column(row, None) == "instruction"
    assert prompt_column(row, "question") == "question"
    assert prompt_of(row, "question") == [{"role": "user", "content": "q"}]


def test_an_edit_is_read_though_the_file_was_read_before(write):
    path = write("a.jsonl", [{"prompt": "one"}])
    first = read_rows(path)
    assert read_rows(path) is first
    write("a.jsonl", [{"prompt": "two"}])
    assert [row.values["prompt"] for row in read_rows(path)] == ["two"]
