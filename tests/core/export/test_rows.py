"""Rows for spreadsheets: nothing in them is computed, and they come back as they were."""

import csv

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefopt_core.export.rows import write_parts, write_rows
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.formulas import guarded, unguarded

FORMULAS = ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "＝1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_would_compute_is_text_there_and_comes_back(tmp_path, text):
    file = tmp_path / "rows.csv"
    write_rows(pl.DataFrame({"prompt": [text, "plain"], "@name": ["a-b", f"'{text}"]}), file)
    with file.open(newline="", encoding="utf-8") as lines:
        cells = [cell for row in csv.reader(lines) for cell in row]
    assert not [cell for cell in cells if cell[:1] in "=+-@\t\r＝"]
    assert [row.values for row in read_rows(file)] == [
        {"prompt": text, "@name": "a-b"},
        {"prompt": "plain", "@name": f"'{text}"},
    ]


def test_numbers_stay_numbers(tmp_path):
    file = tmp_path / "rows.csv"
    write_rows(pl.DataFrame({"margin": [-1.5, 2.0], "said": ["-3", "+1e5"]}), file)
    assert file.read_text() == "margin,said\n-1.5,-3\n2.0,+1e5\n"


@given(st.text(st.sampled_from("'=+-@1e. \t\ra"), max_size=6))
@example("''=1")
@example("'-1")
def test_reading_undoes_what_writing_did(text):
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_a_table_written_in_parts_is_that_written_whole(tmp_path, ending):
    rows = pl.DataFrame({"prompt": ["a", 'b "c"', "=d"], "responses": [["x"], ["y", "z"], []]})
    whole, parts = tmp_path / f"whole{ending}", tmp_path / f"parts{ending}"
    write_rows(rows, whole)
    write_parts([rows[:2], rows[2:2], rows[2:]], parts)
    if ending == ".parquet":
        assert pl.read_parquet(parts).equals(rows)
    else:
        assert parts.read_bytes() == whole.read_bytes()
