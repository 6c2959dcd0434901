"""Reports: short enough for Prefect, safe to open, and the same for the same figures."""

import polars as pl
import pytest
from markupsafe import escape

from prefopt_core.ground.tables import TABLES
from prefopt_core.reports.plots import plot_reliability, plot_rounds
from prefopt_core.reports.render import render_html, render_markdown
from prefopt_core.reports.rounds import (
    DIAGNOSTICS,
    kept_earlier,
    note_on_diagnostics,
    table_by_round,
    verdict_of,
)
from prefopt_core.reports.run import round_page, run_page
from prefopt_core.reports.values import shortened

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


def with_bins(table, **bins):
    """The same with bins of confidence in the last round: lower end → (sure, share right, n)."""
    last = table["round"].max()
    rows = []
    for low, (sure, right, n) in bins.items():
        rows.append((last, f"right_when_sure_{low[1:]}", right, right - 0.1, right + 0.1, n))
        rows.append((last, f"sure_{low[1:]}", sure, sure - 0.01, sure + 0.01, n))
    return pl.concat([table, pl.DataFrame(rows, schema=table.schema, orient="row")])


EVIL = '<script>alert("x")</script>'


def html_report(*arguments, **more):
    return render_html(run_page(*arguments, **more))


def markdown(*arguments):
    return render_markdown(round_page(*arguments))


def cells(table):
    return [[str(cell) for cell in row] for row in table.rows]


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
    table = table_by_round(metrics(3))
    rows = cells(table)
    assert table.header[:4] == ["round", "win rate", "gold score", "labels"]
    assert [row[0] for row in rows] == ["start", "1", "2"]
    assert rows[0][1:4] == ["–", "0.50 [0.45, 0.55]", "10"]
    assert rows[1][1] == "61 % [56, 66]"


def test_interval_that_begins_at_zero_is_shown():
    table = metrics(1, ["gold_score"]).with_columns(low=pl.lit(0.0))
    assert cells(table_by_round(table))[0][1] == "0.50 [0.00, 0.55]"


@pytest.mark.parametrize("rounds", [1, 3, 40])
def test_markdown_stays_below_what_prefect_takes(rounds):
    text = markdown(metrics(rounds), "align")
    assert len(text.encode()) < 100_000
    assert text.startswith("## align\n\n**")
    of_rounds, diagnostics = text.split("### Diagnostics")
    assert of_rounds.count("\n| ") == diagnostics.count("\n| ") == rounds + 2
    assert "data:image/svg+xml;base64," in text


def test_without_grades_there_is_a_table_and_no_plot():
    counted = metrics(2, names=())
    assert plot_rounds(counted) == []
    assert "<img" not in markdown(counted, "aepo")


@pytest.mark.parametrize("names", [("gold_score",), ("gold_score", "win_rate")], ids=str)
def test_there_is_a_plot_of_each_figure_that_there_is(names):
    plots = plot_rounds(metrics(2, names))
    assert sorted(plot.name for plot in plots) == sorted(n.replace("_", "-") for n in names)


@pytest.mark.slow
def test_same_figures_give_the_same_picture():
    assert plot_rounds(metrics(2)) == plot_rounds(metrics(2))


def test_page_shows_texts_of_others_as_text(preferences):
    page = html_report(metrics(2), preferences, f"prompts: {EVIL}", f"align {EVIL}")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3 * 3 + 1 + 2  # examples, config, title twice
    assert "&amp; {braces}" in page


def test_page_needs_nothing_from_elsewhere(preferences):
    page = html_report(metrics(2), preferences, "seed: 0", "align")
    assert "://" not in page
    assert "<pre>seed: 0</pre>" in page
    assert "the policy&#39;s own judgment, 75 % sure" in page


def test_shortened_text_is_one_line():
    assert shortened("one\n two\tthree ", 20) == "one two three"
    assert shortened("a" * 30, 10) == "a" * 9 + "…"


def test_diagnostics_are_a_table_of_their_own_with_a_note_on_what_each_means(preferences):
    named = ("calibration_error", "flagged", "threshold", "kl_from_start", "distinct_2")
    table = metrics(2, (*SAMPLED, *named)).with_columns(
        low=pl.when(pl.col("metric").is_in(named)).then(None).otherwise("low")
    )
    diagnostics = table_by_round(table, DIAGNOSTICS)
    rows = cells(diagnostics)
    assert diagnostics.header == [
        "round", "right", "calibration error", "pairs flagged", "τ", "KL from start",
        "distinct word pairs", "cut off",
    ]  # fmt: skip
    sampled, counted = "67 % [62, 72]", "67 %"
    assert rows[1] == ["1", sampled, counted, counted, "0.667", "0.7", counted, sampled]
    text, page = markdown(table, "align"), html_report(table, preferences, "seed: 0", "align")
    assert f"| {' | '.join(rows[1])} |" in text.split("### Diagnostics")[1]
    assert "<h2>Diagnostics</h2>" in page
    assert note_on_diagnostics() in text
    assert escape(note_on_diagnostics()) in page


def test_reliability_is_drawn_only_where_the_policy_judged(preferences):
    alt = "how sure the policy was"
    plain = metrics(2)
    assert plot_reliability(plain) == []
    assert alt not in html_report(plain, preferences, "seed: 0", "align")
    judged = with_bins(plain, b50=(0.55, 0.4, 12), b90=(0.95, 0.8, 30))
    (plot,) = plot_reliability(judged)
    assert f'aria-label="{alt}' in plot.svg
    assert plot.svg in html_report(judged, preferences, "seed: 0", "align")


def test_a_dot_is_a_bin_of_the_last_round_that_has_some(monkeypatch):
    figures = []
    monkeypatch.setattr(
        "prefopt_core.reports.plots.drawn", lambda figure, *_: figures.append(figure)
    )
    before = with_bins(metrics(2), b50=(0.52, 0.3, 99))
    after = with_bins(
        metrics(3).filter(pl.col("round") == 2), b90=(0.93, 0.8, 30), b60=(0.64, 0.5, 8)
    )
    plot_reliability(pl.concat([before, after]))
    plot_reliability(pl.concat([before, metrics(3).filter(pl.col("round") == 2)]))
    both, earlier = (figure.axes[0] for figure in figures)
    dots = both.collections[-1]
    assert dots.get_offsets().tolist() == [[0.64, 0.5], [0.93, 0.8]]
    assert dots.get_sizes()[0] < dots.get_sizes()[1]
    assert [text.get_text() for text in both.texts] == ["8", "30"]
    assert earlier.collections[-1].get_offsets().tolist() == [[0.52, 0.3]]


def test_warnings_are_told_as_text(preferences, monkeypatch):
    cut = metrics(2).with_columns(low=pl.lit(0.3))
    page, text = html_report(cut, preferences, "seed: 0", "align"), markdown(cut, "align")
    assert "of the responses are cut off" in page
    assert "* Round 1: " in text
    monkeypatch.setattr("prefopt_core.reports.rounds.advise", lambda _: [f"{EVIL} & more"])
    for shown in (html_report(cut, preferences, "seed: 0", "align"), markdown(cut, "align")):
        assert "<script" not in shown
        assert "&lt;script&gt;" in shown
        assert "&amp; more" in shown


def test_a_page_says_which_round_was_kept_if_not_the_last(preferences):
    three = metrics(3)
    assert kept_earlier(three, None) == kept_earlier(three, 2) == []
    for kept, said in ((1, "Kept: round 1,"), (0, "Kept: the start policy,")):
        assert said in html_report(three, preferences, "seed: 0", "align", kept=kept)
    assert "Kept:" not in html_report(three, preferences, "seed: 0", "align", kept=2)


def with_win_rate(value, low, high, n=200, rounds=2):
    row = (rounds - 1, "win_rate", value, low, high, n)
    table = metrics(rounds)
    others = table.filter(~((pl.col("metric") == "win_rate") & (pl.col("round") == rounds - 1)))
    return pl.concat([others, pl.DataFrame([row], schema=table.schema, orient="row")])


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((0.69, 0.62, 0.75), "After 20 labels the policy wins 69 % [62, 75] over where it"),
        ((0.31, 0.25, 0.38), "After 20 labels the policy is worse: it wins 31 % [25, 38] over"),
        ((0.55, 0.48, 0.62), "After 20 labels nothing is settled: the policy wins 55 % [48, 62]"),
        ((0.95, 0.85, 1.0, 10), "nothing is settled: the policy wins 95 % [85, 100] over where"),
    ],
)  # fmt: skip
def test_the_verdict_claims_no_more_than_the_interval_holds(figures, said):
    table = with_win_rate(*figures)
    assert said in verdict_of(table).text
    assert verdict_of(table).text in markdown(table, "align")


def test_the_verdict_is_of_the_round_that_was_kept():
    assert "wins 61 % [56, 66]" in verdict_of(metrics(3), 1).text
    assert "the start policy is kept" in verdict_of(metrics(3), 0).text
    assert "nobody has measured" in verdict_of(metrics(2, names=())).text
    assert "This is the start policy" in verdict_of(metrics(1)).text
