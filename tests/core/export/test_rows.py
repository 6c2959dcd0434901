"""Rows for spreadsheets: nothing in them is computed, and they come back as they were."""

import csv
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prefopt_core.export.rows import selected_parts, selected_rows, write_parts, write_rows
from prefopt_core.ground.tables import TABLES, empty, in_shards
from prefopt_core.inputs.files import read_rows
from prefopt_core.inputs.formulas import guarded, unguarded
from prefopt_core.labels.asked import Asked, Proposal
from prefopt_core.reports.proposals import read_proposal
from prefopt_core.store.artifacts import Artifact
from tests.selecting import sampled

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


@pytest.fixture
def proposal(store):
    """Tables of 2,500 prompts, two shards of each, and their references."""
    ids = [f"{i:04}" for i in range(2500)]
    candidates = sampled(**{i: [f"a {i}", f"b {i}"] for i in ids})
    chosen = candidates.filter(sample=1).select("prompt_id", "candidate_id")
    chosen = chosen.with_columns(rank=pl.lit(0, pl.Int32))
    selections = pl.concat([empty("selections"), chosen], how="diagonal")
    prompts = pl.DataFrame(
        [(i, [{"role": "user", "content": f"Q {i}"}]) for i in ids],
        schema=TABLES["prompts"].columns,
        orient="row",
    )
    frames = {"selections": selections, "candidates": candidates, "prompts": prompts}
    stored = {
        name: Artifact(
            table=name,
            shards=tuple(
                store.put_table(name, shard) for shard in in_shards(frame, frame.height // 2)
            ),
        )
        for name, frame in frames.items()
    }
    return Asked(**frames), Proposal(**stored)


def test_selected_rows_read_in_parts_are_those_read_at_once(store, proposal):
    whole, stored = proposal
    parts = list(selected_parts(store, stored))
    assert len(parts) == 2
    assert pl.concat(parts).equals(selected_rows(whole))


def test_a_page_reads_the_texts_of_the_prompts_that_it_shows(store, proposal):
    whole, stored = proposal
    ranked = whole.candidates.select("prompt_id", "candidate_id", rank="sample")
    ranked = pl.concat([empty("selections"), ranked], how="diagonal")
    shard = store.put_table("selections", ranked)
    stored = replace(stored, selections=Artifact(table="selections", shards=(shard,)))
    read = read_proposal(store, stored).candidates
    assert read["candidate_id"].equals(whole.candidates["candidate_id"])
    shown = read.drop_nulls("response")
    assert 2 * 64 <= shown.height < 2 * 80
    assert shown.join(whole.candidates, ["candidate_id", "response"]).height == shown.height
