"""What is exported and imported again is the same: questions and verdicts, whatever is in them."""

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.files import format_of
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.words import verdict_in, word_of
from tests.core.exchange.drawn import USUAL, entries, given_to, there_and_back


@given(st.integers(1, 6).flatmap(lambda size: st.tuples(given_to(size), st.just(size))))
def test_a_word_says_all_of_a_verdict(said):
    verdict, size = said
    assert verdict_in(word_of(verdict), size) == verdict


@given(st.lists(entries(), min_size=1, max_size=4))
def test_csv_holds_everything(asked):
    _, lost, back = there_and_back("csv", asked, ".csv")
    assert lost == []
    assert [replace(entry, where="") for entry in back] == asked


@given(st.lists(entries(), min_size=1, max_size=4))
def test_no_cell_of_a_csv_is_a_formula_or_a_date_to_a_spreadsheet(asked):
    data, _, _ = there_and_back("csv", asked, ".csv")
    assert data.startswith(b"\xef\xbb\xbf")
    for row in csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        for name in ("prompt", "response_1", "by", "why", "annotator"):
            assert not (row.get(name) or "").startswith(tuple("=+-@\t\r0123456789"))


@given(st.lists(entries(sizes=(2,)), min_size=1, max_size=4))
def test_label_studio_holds_what_people_say(asked):
    asked = [e for e in asked if not e.verdict or e.verdict.state != "invalid"] or [USUAL]
    _, _, back = there_and_back("label-studio", asked, ".json")
    assert [entry.question for entry in back] == [entry.question for entry in asked]
    for before, after in zip(asked, back, strict=True):
        _is_the_same_but_for_how_sure(before, after)


@given(st.lists(entries(sizes=(2, 3)), min_size=1, max_size=4, unique_by=lambda e: e.question_id))
def test_argilla_holds_what_people_say(asked):
    asked = [e for e in asked if not e.verdict or e.verdict.state != "invalid"] or [USUAL]
    _, _, back = there_and_back("argilla", asked, ".json")
    assert [entry.question for entry in back] == [entry.question for entry in asked]
    for before, after in zip(asked, back, strict=True):
        _is_the_same_but_for_how_sure(before, after)


def _is_the_same_but_for_how_sure(before, after):
    assert (after.question_id, after.annotator, after.guidelines) == (
        before.question_id, before.annotator, before.guidelines,
    )  # fmt: skip
    if before.verdict is None:
        assert after.verdict is None
        return
    assert (after.verdict.by, after.verdict.why) == (before.verdict.by, before.verdict.why)
    assert _order(after.verdict) == _order(before.verdict)


def _order(verdict):
    """Who is better than whom, or why nobody is said to be."""
    if verdict.state != "given":
        return verdict.state
    scores = verdict.scores or (verdict.preference, 1 - verdict.preference)
    if len(set(scores)) == 1:
        return "tie"
    return [(a > b) - (a < b) for a in scores for b in scores]


@pytest.mark.parametrize(
    ("format", "ending"),
    [("csv", ".csv"), ("label-studio", ".json"), ("argilla", ".json"), ("trl", ".jsonl"),
     ("ultrafeedback", ".parquet"), ("hh-rlhf", ".jsonl"), ("nectar", ".json"),
     ("helpsteer2", ".jsonl"), ("helpsteer3", ".parquet")],
)  # fmt: skip
def test_a_file_says_what_it_is(format, ending, ask, tmp_path):
    question = ask("Which?", "this", "that")
    verdict = Verdict.preferred(1.0, by="alice")
    path = tmp_path / f"file{ending}"
    list(WRITERS[format]([Entry(question.question_id, question, verdict)], path))
    read_as = {"hh-rlhf": "trl"}.get(format, format)
    assert format_of(path) == read_as
    (back,) = READERS[format_of(path)](path)
    said = dict(zip(back.question.key[1], _chances(back.verdict), strict=True))
    assert said == dict(zip(question.key[1], (1.0, 0.0), strict=True))


def _chances(verdict):
    p = verdict.probability()
    return p, 1 - p
