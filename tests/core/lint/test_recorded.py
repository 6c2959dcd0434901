"""Verdicts that people gave: what lint says of them is what counting one by one gives."""

from itertools import permutations
from pathlib import Path

import polars as pl
import pytest

from prefopt_core.lint import LINTS, Known
from prefopt_core.lint.reading import read_pairs
from prefopt_core.lint.texts import texts_of

PANDALM = Path(__file__).parents[4] / "shared" / "data" / "pairs_pandalm.parquet"


@pytest.fixture
def pairs(tmp_path):
    """A pair for every verdict of the three annotators that prefers one of two responses."""
    if not PANDALM.is_file():
        pytest.skip("PandaLM's recorded verdicts are not on this machine (shared/data)")
    rows = []
    for row in pl.read_parquet(PANDALM).iter_rows(named=True):
        texts = {1: row["response_a"], 2: row["response_b"]}
        for name in ("annotator1", "annotator2", "annotator3"):
            if better := texts.get(row[name]):
                sides = {"chosen": better, "rejected": texts[3 - row[name]]}
                rows.append({"prompt": row["prompt"], "annotator": name} | sides)
    pl.DataFrame(rows).write_ndjson(tmp_path / "pairs.jsonl")
    return texts_of(read_pairs(tmp_path / "pairs.jsonl").pairs)


def rows_found(pairs, lint):
    return {row for finding in LINTS[lint](pairs, Known()) for row in finding.rows}


def test_contradictions_and_cycles_are_those_that_counting_finds(pairs):
    texts = pairs.select("row", "prompt", "chosen", "rejected").rows()
    over = {(prompt, a, b) for _, prompt, a, b in texts if a != b}
    against = {row for row, prompt, a, b in texts if a != b and (prompt, b, a) in over}
    assert rows_found(pairs, "contradiction") == against
    assert len(against) > 50

    clear = {(p, a, b) for p, a, b in over if (p, b, a) not in over}
    circles = set()
    for prompt in {p for p, _, _ in clear}:
        own = {(a, b) for p, a, b in clear if p == prompt}
        nodes = {text for edge in own for text in edge}
        for size in (3, 4):
            for ring in permutations(nodes, size):
                edges = set(zip(ring, (*ring[1:], ring[0]), strict=True))
                circles |= {(prompt, *edge) for edge in edges} if edges <= own else set()
    expected = {row for row, *pair in texts if tuple(pair) in circles}
    assert rows_found(pairs, "cycle") == expected
    assert expected


def test_people_neither_refuse_nor_choose_by_length(pairs):
    assert not list(LINTS["length_bias"](pairs, Known()))
    assert not list(LINTS["refusal_chosen"](pairs, Known()))
