"""Reports: short enough for Prefect, safe to open, and the same for the same figures."""

import polars as pl
import pytest

from prefopt_core.figures import plot_rounds
from prefopt_core.report import html_report, markdown, shortened, table_of_rounds
from prefopt_core.tables import TABLES

SAMPLED = ("gold_score", "win_rate", "response_words", "unfinished", "self_label_agreement")


def metrics(rounds, names=SAMPLED):
    rows = []
    for number in range(rounds):
        for name in names:
            if name != "win_rate" or number:  # the start has nobody to win against
                value = 0.5 + number / (3 * rounds)
                rows.append((number, name, value, value - 0.05, value + 0.05, 200))
        rows += [(number, name, 10.0, None, None, 10) for name in ("labels", "gold_pairs")]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


EVIL = '<script>alert("x")</script>'


@pytest.fixture
def preferences():
    def said(role):
        return [[{"role": role, "content": f"{EVIL} {role} & {{braces}}"}]] * 12

    return pl.DataFrame(
        {
            "prompt": said("user"), "chosen": said("assistant"), "rejected": said("assistant"),
            "source": ["self"] * 12, "confidence": [0.75] * 12,
        }
    )  # fmt: skip


def test_table_has_a_row_a_round_and_shows_intervals_in_brackets():
    header, rows = table_of_rounds(metrics(3))
    assert header[:4] == ["round", "win rate", "gold score", "labels"]
    assert [row[0] for row in rows] == ["start", "1", "2"]
    assert rows[0][1:4] == ["–", "0.50 [0.45, 0.55]", "10"]
    assert rows[1][1] == "61 % [56, 66]"


def test_interval_that_begins_at_zero_is_shown():
    table = metrics(1, ["gold_score"]).with_columns(low=pl.lit(0.0))
    assert table_of_rounds(table)[1][0][1] == "0.50 [0.00, 0.55]"


@pytest.mark.parametrize("rounds", [1, 3, 40])
def test_markdown_stays_below_what_prefect_takes(rounds):
    text = markdown(metrics(rounds), "align")
    assert len(text.encode()) < 100_000
    assert text.startswith("## align\n\n| round | ")
    of_rounds, diagnostics = text.split("### Diagnostics")
    assert of_rounds.count("\n| ") == diagnostics.count("\n| ") == rounds + 2
    assert "data:image/png;base64," in text


def test_without_grades_there_is_a_table_and_no_plot():
    counted = metrics(2, names=())
    assert plot_rounds(counted) == ""
    assert "<img" not in markdown(counted, "aepo")


@pytest.mark.parametrize("names", [("gold_score",), ("gold_score", "win_rate")], ids=str)
def test_plot_is_made_of_what_there_is(names):
    assert plot_rounds(metrics(2, names)).startswith("data:image/png")


def test_same_figures_give_the_same_picture():
    assert plot_rounds(metrics(2)) == plot_rounds(metrics(2))


def test_page_shows_texts_of_others_as_text(preferences):
    page = html_report(metrics(2), preferences, f"prompts: {EVIL}", f"align {EVIL}")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3 * 5 + 1 + 2  # examples, config, title twice
    assert "&amp; {braces}" in page


def test_page_needs_nothing_from_elsewhere(preferences):
    page = html_report(metrics(2), preferences, "seed: 0", "align")
    assert "http" not in page
    assert "<pre>seed: 0</pre>" in page
    assert "self, 0.75" in page


def test_shortened_text_is_one_line():
    assert shortened("one\n two\tthree ", 20) == "one two three"
    assert shortened("a" * 30, 10) == "a" * 9 + "…"
