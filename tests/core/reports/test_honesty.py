"""What a report says of its labels: for one annotator and many, for nothing and for too little."""

import numpy as np
import polars as pl

from prefopt_core.labels.estimates import Estimate
from prefopt_core.reports.honesty import cell, honesty_parts
from prefopt_core.reports.page import Notice, Page, Table, Text
from prefopt_core.reports.render import render_html, render_markdown
from tests.core.labels.said import candidates, verdicts

EVIL = "<script>alert(1)</script>|`x`"
N = 30


def texts():
    return candidates({f"p{n}{side}": side * 5 for n in range(N) for side in "abc"})


def parts_of(rows):
    return honesty_parts(verdicts(*rows), texts())


def tables(parts):
    return [part for part in parts if isinstance(part, Table)]


def headings(parts):
    return [part.text for part in parts if type(part).__name__ == "Heading"]


def people(names, seed=0):
    rng = np.random.default_rng(seed)
    return [
        (f"p{n}", "ab", f"people/{who}", float((n + (rng.random() < 0.1)) % 2), 3.5)
        for n in range(N)
        for who in names
    ]


def test_without_verdicts_the_report_says_so():
    _, text = parts_of([])
    assert text == Text("There is no verdict yet.")


def test_one_annotator_has_habits_and_no_agreement():
    parts = parts_of([(f"p{n}", "ab", "me", float(n % 2), 3.5) for n in range(N)])
    (table,) = tables(parts)
    assert table.header == ["annotator", "verdicts", "first shown", "seconds"]
    assert [str(value) for value in table.rows[0]] == [
        "me",
        "30",
        "50 % [33, 67], n = 30",
        "3.5 [3.5, 3.5], n = 30",
    ]
    assert "nothing tells how far they would agree" in str(parts[-1])


def test_a_judge_is_compared_with_people_who_labelled_the_same_for_another_run():
    def right(n):
        return float(n % 2)

    judged = [(f"p{n}", "ab", "llm", right(n) if n % 10 else 1 - right(n)) for n in range(N)]
    said = [(f"p{n}", "ab", "people/ann", right(n) if n < 20 else "skipped") for n in range(N)]
    parts = honesty_parts(verdicts(*judged), texts(), verdicts(*said))
    states, habits, _, two = tables(parts)
    for raters in (states, habits):
        assert [row[0] for row in raters.rows] == ["llm", "people: ann"]
    assert states.header == ["annotator", "verdicts", "skipped"]
    assert [str(value) for value in two.rows[0][:2]] == ["llm", "people: ann"]
    assert str(two.rows[0][2]).startswith("90 % [")
    assert "for another one" in str(parts[1])
    # ann skips a lot; that is told with ann's own labels
    assert not any(isinstance(part, Notice) for part in parts)
    assert any(isinstance(part, Notice) for part in honesty_parts(verdicts(*said), texts()))


def test_what_a_judge_was_paid_is_beside_its_verdicts():
    table = verdicts(*[(f"p{n}", "ab", "llm", 1.0) for n in range(N)])
    paid = table.with_columns(cost=pl.lit(0.01))
    (free,), (judge,) = tables(honesty_parts(table, texts())), tables(honesty_parts(paid, texts()))
    assert "cost" not in free.header
    assert judge.header[:3] == ["annotator", "verdicts", "cost"]
    assert judge.rows[0][:3] == ["llm", "30", "0.3"]


def test_too_few_prompts_show_how_many_and_no_figure():
    (table,) = tables(parts_of([(f"p{n}", "ab", "me", 1.0) for n in range(5)]))
    assert table.rows[0][-1] == "– (n = 5)"


def test_three_people_have_every_two_a_line_and_one_label_together():
    parts = parts_of(people(("ann", "bob", "cid")))
    _, overall, two, right = tables(parts)
    assert [row[0] for row in overall.rows] == [
        "say the same of a pair",
        "pairs: Krippendorff's α",
        "pairs: Fleiss' κ",
    ]
    assert len(two.rows) == 3
    assert len(right.rows) == 3
    assert headings(parts)[-1] == "One label of several"


def test_many_annotators_are_a_matrix():
    names = [f"ann{number}" for number in range(6)]
    matrix = tables(parts_of(people(names)))[2]
    assert len(matrix.rows) == 6
    assert [row[number + 1] for number, row in enumerate(matrix.rows)] == [""] * 6
    assert matrix.rows[0][2].endswith(" %")
    assert "." in matrix.rows[1][1]


def test_a_judge_is_compared_with_people_by_their_majority():
    judge = [(f"p{n}", "ab", "llm", float(n % 2)) for n in range(N)]
    *_, two, _ = tables(parts_of([*people(("ann", "bob", "cid")), *judge]))
    (row,) = two.rows
    assert row[:2] == ["llm", "people"]
    assert str(row[2]).startswith(("93 %", "97 %", "100 %"))


def test_scores_of_two_annotators_have_their_own_rows():
    rows = [
        (f"p{n}", side, who, [n + (side == "b")])
        for n in range(N)
        for side in "ab"
        for who in ("rm", "human")
    ]
    overall = tables(parts_of(rows))[1]
    assert [row[0] for row in overall.rows][-2:] == [
        "scores: Krippendorff's α, ordinal",
        "scores: Krippendorff's α, interval",
    ]
    assert str(overall.rows[-1][1]) == "1.00 [1.00, 1.00], n = 60"


def test_what_is_doubtful_asks_for_attention():
    rows = [(f"p{n}", "ab", "llm", 1.0) for n in range(N)]
    assert [type(part) for part in parts_of(rows)].count(Notice) == 1


def test_a_name_is_text_and_no_markup():
    page = Page("labels", parts_of(people((EVIL, "bob", "cid"))))
    assert "<script>" not in render_html(page)
    assert "<script>" not in render_markdown(page)
    lines = render_markdown(page).splitlines()
    named = [line for line in lines if "alert" in line]
    assert len(named) > 3
    assert all("&lt;script&gt;" in line and "&#124;&#96;x" in line for line in named)


def test_rankings_and_states_of_every_kind_make_a_page():
    said = ("tie", "both_bad", "skipped", "invalid")
    rows = [(f"p{n}", "ab", "x", said[n % 4]) for n in range(N)]
    rows += [(f"p{n}", "abc", "y", [-1, -2, -2]) for n in range(N)]
    html = render_html(Page("labels", parts_of(rows)))
    for column in ("tie", "both bad", "skipped", "invalid"):
        assert f"<th>{column}</th>" in html


def test_a_figure_that_is_undefined_says_so():
    nothing = Estimate(np.nan, np.nan, np.nan, 40, 40)
    assert cell(nothing) == "undefined (n = 40)"
