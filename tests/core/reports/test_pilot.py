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
    # 72.03 pairs tell 65 % from 75 %, and 20 have this interval; a pair takes two labels here
    seen = 0.65, 0.432854, 0.818808
    assert "At that rate 105 more labels would." in sentence(*seen)
    assert "would: 145 in all, and round 1 buys 144." in sentence(*seen, available=144)
    assert "in all" not in sentence(*seen, available=145)


def test_pairs_of_one_prompt_count_for_what_their_interval_says():
    # 60 pairs of 10 prompts, as sure as 20 of as many: 26.2 would tell 85 % from 67 %
    assert "At that rate 13 more labels would." in said_of_many(0.85, 0.639581, 0.948)


def said_of_many(*figures):
    return pilot_parts(metrics(*figures, n=60), 40, 200, 0.67)[0].text


def test_only_a_judge_that_learns_is_said_to_have_learned():
    of_folds, alone = (
        pilot_parts(metrics(0.5, 0.3, 0.7), 40, 200, learns=learns)[-1].text
        for learns in (True, False)
    )
    assert "other folds" in of_folds
    assert "learn" not in alone


def test_the_table_has_what_is_known():
    parts = pilot_parts(metrics(0.5, 0.3, 0.7, judge_confidence=0.6, label_longer=0.8), 40, 200)
    (table,) = (part for part in parts if isinstance(part, Table))
    assert [str(cell) for cell in table.rows[0]] == ["20", "50 % [30, 70]", "60 %", "–", "80 %"]


@pytest.mark.parametrize("labels", [2, 40])
def test_a_judge_that_says_nothing_tells_nothing(labels):
    empty = metrics(0.5, 0.3, 0.7).clear()
    (verdict,) = pilot_parts(empty, labels, 200)
    assert verdict.text.startswith("The pilot cannot tell")
