"""What a pilot says, in a sentence and a table."""

import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES
from prefopt_core.reports.page import Table, Verdict
from prefopt_core.reports.pilot import pilot_parts


def metrics(value, low, high, n=20, **others):
    rows = [(1, "judge_right", value, low, high, n)]
    rows += [(1, name, share, None, None, n) for name, share in others.items()]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


def sentence(*figures, labels=40, available=200):
    verdict = pilot_parts(metrics(*figures), labels, available, 0.75)[0]
    assert isinstance(verdict, Verdict)
    return verdict.text


def test_each_answer_is_said_with_its_figures():
    assert sentence(0.95, 0.8, 0.99).startswith("Self-labels are worth a try: ")
    assert "95 % [80, 99]" in sentence(0.95, 0.8, 0.99)
    assert sentence(0.5, 0.3, 0.7).startswith("No self-labels; spend on labels or on more steps: ")
    assert "below the 75 %" in sentence(0.5, 0.3, 0.7)
    assert "exactly" in sentence(0.75, 0.5, 0.9)


def test_a_pilot_that_cannot_tell_says_how_many_labels_would():
    # 73 pairs tell 65 % from 75 %; a pair takes two labels here, 40 are there
    said = sentence(0.65, 0.43, 0.82)
    assert "At that rate 106 more labels would." in said
    assert "more than the 100 of round 1" in sentence(0.65, 0.43, 0.82, available=100)


def test_the_table_has_what_is_known():
    parts = pilot_parts(metrics(0.5, 0.3, 0.7, judge_confidence=0.6, label_longer=0.8), 40, 200)
    (table,) = (part for part in parts if isinstance(part, Table))
    assert [str(cell) for cell in table.rows[0]] == ["20", "50 % [30, 70]", "60 %", "–", "80 %"]


@pytest.mark.parametrize("labels", [2, 40])
def test_a_judge_that_says_nothing_tells_nothing(labels):
    empty = metrics(0.5, 0.3, 0.7).clear()
    (verdict,) = pilot_parts(empty, labels, 200)
    assert verdict.text.startswith("The pilot cannot tell")
