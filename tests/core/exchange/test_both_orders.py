"""A pair that was shown in both orders is one row of a public layout."""

import json

import pytest

from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.pairs import BOTH_ORDERS
from prefopt_core.labels.kept import Entry
from prefopt_core.labels.questions import Verdict


def chances(verdict):
    p = verdict.probability()
    return p, 1 - p


@pytest.mark.parametrize("format", ["nectar", "helpsteer2", "helpsteer3"])
@pytest.mark.parametrize(
    ("orders", "probability"),
    [
        (((1.0, 0.0), (0.0, 1.0)), 1.0),  # the same response is better in both orders
        (((1.0, 0.0), (1.0, 0.0)), 0.5),  # always the first
        (((0.0, 3.0), (1.0, 0.0)), 0.0),
    ],
)
def test_both_orders_of_a_pair_are_one_row(format, orders, probability, ask, tmp_path):
    question, other = ask("Which?", "this", "that"), ask("And?", "a", "b")
    entries = [
        Entry(one.question_id, one, Verdict.scored(*scores, by="judge"))
        for one, scores in zip((question, question.turned()), orders, strict=True)
    ]
    entries.append(Entry(other.question_id, other, Verdict.preferred(1.0, by="judge")))
    path = tmp_path / "file.jsonl"
    lost = list(WRITERS[format](entries, path))
    assert BOTH_ORDERS in lost
    found = {entry.question.prompt_id: entry for entry in READERS[format](path)}
    assert len(path.read_text().splitlines()) == len(found)
    if format == "nectar" and probability == 0.5:
        assert found.keys() == {other.prompt_id}
        return
    back = found[question.prompt_id]
    said = dict(zip(back.question.key[1], chances(back.verdict), strict=True))
    assert said[question.key[1][0]] == probability


def test_what_people_say_in_either_order_is_one_row_of_helpsteer3(ask, tmp_path):
    question, path = ask("Which?", "this", "that"), tmp_path / "file.jsonl"
    entries = [
        Entry(one.question_id, one, Verdict.preferred(p, by=by))
        for one, p, by in ((question, 1.0, "Ada"), (question.turned(), 0.0, "Ben"))
    ]
    list(WRITERS["helpsteer3"](entries, path))
    (row,) = map(json.loads, path.read_text().splitlines())
    assert row["response1"] == "this"
    assert [person["score"] for person in row["individual_preference"]] == [-2, -2]
