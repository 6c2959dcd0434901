"""Replay: recorded scores are found by content, and what is no score is told by its row."""

import pytest

from prefopt_core.annotation.replay import annotate
from prefopt_core.ground.errors import DataError
from tests.verdicts import question, scores_of

ROW = {"prompt": "hi", "response": "ho", "score": 1.5}


@pytest.fixture
def replay(write):
    """Scores of (prompt, response) pairs by a file of records."""

    def replay(rows, *asked, name="r.jsonl", **params):
        questions = [question(*pair) for pair in asked or [("hi", "ho")]]
        return scores_of(annotate(questions, path=str(write(name, rows)), **params))

    return replay


def test_scores_are_found_by_prompt_and_response_in_the_order_asked(replay):
    rows = [ROW, ROW | {"response": "NA", "score": -2}, ROW | {"prompt": "NA", "score": 7}]
    assert replay(rows, ("NA", "ho"), ("hi", "NA"), ("hi", "ho")) == [7, -2, 1.5]


def test_repeated_records_are_averaged(replay):
    assert replay([ROW, ROW | {"score": 2.5}, ROW | {"score": 5}]) == [3.0]
    assert replay([ROW, ROW | {"score": None}], missing="skip") == [1.5]


def test_text_of_a_csv_is_text_and_its_scores_are_numbers(replay):
    rows = "instruction,response,quality\nNA,1.0,0.25\nNA,null,-1e3\n"
    found = replay(rows, ("NA", "null"), ("NA", "1.0"), name="r.csv", score="quality")
    assert found == [-1000.0, 0.25]


def test_prompt_may_be_messages_or_in_a_column_of_another_name(replay):
    chat = [{"role": "user", "content": "hi"}]
    assert replay([ROW | {"prompt": chat}]) == [1.5]
    row = {"question": "hi", "response": "ho", "score": 1.5}
    assert replay([row], column="question") == [1.5]


def test_kept_empty_response_has_a_score_like_any_other(replay):
    assert replay([ROW | {"response": ""}], ("hi", "")) == [1.5]
    assert replay("prompt,response,score\nhi,,1.5\n", ("hi", ""), name="r.csv") == [1.5]


NO_SCORES = {"null": None, "NaN": float("nan"), "infinite": float("inf"), "word": "good", "": ""}


@pytest.mark.parametrize("score", NO_SCORES.values(), ids=[name or "empty" for name in NO_SCORES])
def test_what_is_no_score_is_an_error_or_skipped(replay, score):
    rows = [ROW | {"response": "other"}, ROW | {"score": score}]
    with pytest.raises(DataError, match=r"r\.jsonl, line 2: 'score' is .*params\.missing: skip"):
        replay(rows)
    assert replay(rows, missing="skip") == [None]


BAD = {
    "no score column": ([{"prompt": "hi", "response": "ho"}], r"line 1: no column 'score' among"),
    "no response column": ([{"prompt": "hi", "score": 1}], r"line 1: no column 'response' among"),
    "no prompt column": ([{"response": "ho", "score": 1}], r"line 1: no column 'prompt' or"),
    "response no text": ([ROW | {"response": 3}], r"line 1: the response 3 of 'file' is not"),
    "nobody judged it": ([ROW | {"response": "x"}], r"has no 'score' for the response 'ho' to the"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "message"), BAD.values(), ids=BAD)
def test_bad_record_is_told_by_file_and_row(replay, rows, message):
    with pytest.raises(DataError, match=message):
        replay(rows)
