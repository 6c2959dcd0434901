"""Prompts of a file beyond their texts: strata, repeats, a limit."""

import polars as pl
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.prompts import from_file
from prefopt_core.inputs.settings import PromptsConfig

ROWS = [{"prompt": f"Question {i}?", "topic": "ab"[i % 2], "year": 2000 + i} for i in range(5)]


def texts(table):
    return table["prompt"].list.last().struct.field("content").to_list()


def test_a_stratum_is_the_text_of_its_column(write):
    for name in ("p.jsonl", "p.parquet"):
        path = str(write(name, ROWS))
        table = check_table("prompts", from_file(0, path=path, stratum="topic"))
        assert table["stratum"].to_list() == list("ababa")
        assert table.drop("stratum").equals(from_file(0, path=path))
        years = from_file(0, path=path, stratum="year")["stratum"]
        assert years.to_list() == ["2000", "2001", "2002", "2003", "2004"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "Hi"}], r"line 1: no column 'topic' with its stratum among 'prompt'\. Set"),
        ([*ROWS, {"prompt": "Hi", "topic": None}], "line 6: no stratum in 'topic'"),
        ([*ROWS, {"prompt": "Hi", "topic": ""}], "line 6: no stratum in 'topic'"),
    ],
)
def test_every_row_needs_a_stratum(write, rows, said):
    with pytest.raises(DataError, match=said):
        from_file(0, path=str(write("p.jsonl", rows)), stratum="topic")


def test_repeats_are_refused_or_dropped(write):
    path = str(write("p.jsonl", [*ROWS[:3], {"prompt": "Question 1?", "topic": "z"}, *ROWS[3:]]))
    with pytest.raises(DataError, match=r"line 4 repeats .* line 2: 'Question 1\?'.*`repeats`"):
        from_file(0, path=path)
    table = from_file(0, path=path, stratum="topic", repeats="drop")
    assert texts(table) == [row["prompt"] for row in ROWS]
    assert table["stratum"].to_list() == list("ababa")  # the first row's
    with pytest.raises(ValueError, match=r"'repeats'.*'error' or 'drop'"):
        PromptsConfig(params={"path": path, "repeats": "keep"})


def test_rows_of_one_prompts_responses_are_no_repeats(write):
    rows = [row | {"response": f"No. {i}"} for row in ROWS for i in range(3)]
    assert texts(from_file(0, path=str(write("p.jsonl", rows)))) == [r["prompt"] for r in ROWS]


@pytest.mark.parametrize("limit", [1, 3, 5, 9])
def test_a_limit_counts_prompts(write, limit):
    rows = [row | {"response": f"No. {i}"} for row in ROWS for i in range(2)]
    table = from_file(0, path=str(write("p.jsonl", rows)), stratum="topic", limit=limit)
    assert texts(table) == [row["prompt"] for row in ROWS[:limit]]
    assert table.schema["stratum"] == pl.String
