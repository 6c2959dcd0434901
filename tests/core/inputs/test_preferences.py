"""A labelled seed: what is no preference is told by its row."""

import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.preferences import read_preferences
from prefopt_core.inputs.settings import SeedConfig

PAIR = {"prompt": "hi", "chosen": "good", "rejected": "bad"}


def said(text, role="assistant"):
    return [{"role": role, "content": text}]


def read(path, **settings):
    return check_table("preferences", read_preferences(path, **settings))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("s.jsonl", [PAIR]),
        ("s.csv", "rejected,prompt,chosen,extra\nbad,hi,good,\n"),
        ("s.parquet", [PAIR | {"margin": 0.5}]),
        (
            "s.jsonl",
            [{"prompt": said("hi", "user"), "chosen": said("good"), "rejected": said("bad")}],
        ),
    ],
    ids=["jsonl", "csv", "parquet", "messages"],
)
def test_every_format_gives_the_same_gold_pair(write, name, content):
    (row,) = read(write(name, content)).iter_rows(named=True)
    prompt_id = prompt_id_of(said("hi", "user"))
    assert row["prompt"] == said("hi", "user")
    assert (row["chosen"], row["rejected"]) == (said("good"), said("bad"))
    assert row["chosen_id"] == candidate_id_of(prompt_id, "good")
    assert (row["source"], row["confidence"], row["round"]) == ("gold", 1.0, 0)


def test_text_that_looks_like_a_missing_value_stays_text(write):
    (row,) = read(write("s.csv", "prompt,chosen,rejected\nNA,null,NaN\n")).iter_rows(named=True)
    assert [row[c][0]["content"] for c in ("prompt", "chosen", "rejected")] == ["NA", "null", "NaN"]


def test_both_orders_of_one_pair_are_two_judgments(write):
    reverse = PAIR | {"chosen": "bad", "rejected": "good"}
    assert read(write("s.jsonl", [PAIR, reverse])).height == 2


BAD = {
    "equal": ({"rejected": "good"}, r"line 2: chosen and rejected are the same text\. Remove"),
    "repeated": ({}, r"line 2 repeats the pair of .*line 1\. Remove one"),
    "empty": ({"chosen": ""}, r"line 2: 'chosen' is ''; expected a text or a list with one"),
    "whitespace": ({"rejected": " \n"}, r"line 2: 'rejected' is"),
    "missing": ({"rejected": None}, r"line 2: 'rejected' is 'None'.*Fill it in or remove"),
    "number": ({"chosen": 1}, r"line 2: 'chosen' is '1'"),
    "list of texts": ({"chosen": ["good"]}, r"line 2: 'chosen' is"),
    "two messages": (
        {"chosen": said("a") * 2},
        r"line 2: the conversations differ before their last",
    ),
    "the user's message": ({"chosen": said("good", "user")}, r"line 2: 'chosen' is"),
    "empty prompt": ({"prompt": " "}, r"line 2: the prompt is empty"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_bad_pair_is_told_by_file_and_row(write, change, message):
    path = write("s.jsonl", [PAIR, PAIR | change])
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_column_of_the_prompt_can_be_named_and_a_missing_one_is_told(write):
    rows = [{"question": "hi", "chosen": "good", "rejected": "bad"}]
    assert read(write("s.jsonl", rows), column="question").height == 1
    with pytest.raises(DataError, match=r"line 1: no column 'prompt' or 'instruction' among"):
        read(write("s.jsonl", rows))


def test_seed_file_counts_by_what_is_in_it(write, tmp_path):
    one = SeedConfig(path=str(write("one.jsonl", [PAIR]))).key_part()
    other = SeedConfig(path=str(write("other.jsonl", [PAIR]))).key_part()
    assert one == other
    write("one.jsonl", [PAIR | {"chosen": "better"}])
    assert SeedConfig(path=str(tmp_path / "one.jsonl")).key_part() != other


def test_all_refused_rows_are_counted(write):
    good = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    path = write("seed.jsonl", [good | {"chosen": "b"}, good, good, good | {"rejected": ""}])
    message = r"line 1: chosen and rejected are the same .* 2 of the 4 rows are refused besides"
    with pytest.raises(DataError, match=message):
        read_preferences(path)
