"""What is said of a comparison: its table, its differences, its page."""

import re

import numpy as np
import polars as pl
import pytest

from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.page import comparison_page
from prefopt_core.experiments.paired import interval_over_seeds, sign_flip_test
from prefopt_core.experiments.results import (
    Difference,
    by_seed,
    collect_runs,
    curve,
    differences,
    final,
    unequal,
)
from prefopt_core.ground.tables import TABLES, check_table
from prefopt_core.reports.render import render_html, render_markdown

AGAINST_CHANCE = [("better", "chance"), ("same", "chance")]


def run(values, labels=(0, 8, 4), pairs=(None, 4, 2)):
    """A `metrics` table of a run with these win rates after round 1, 2, …"""
    rows = []
    for number, (bought, made) in enumerate(zip(labels, pairs, strict=True)):
        rows.append((number, "labels", float(bought), None, None, bought))
        rows.append((number, "gold_score", number + 0.5, 0.0, 9.0, 10))
        if made is not None:
            rows.append((number, "win_rate", values[number - 1], 0.0, 1.0, 10))
            rows.append((number, "gold_pairs", float(made), None, None, made))
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


@pytest.fixture
def compared():
    """Seven seeds; `better` is 5 points better in each, `same` is as often worse."""
    runs, arms, seeds = [], [], []
    for seed in range(7):
        level = 0.5 + seed / 50
        sign = (-1) ** seed
        for arm, more in (("chance", 0.0), ("better", 0.05 + seed / 1000), ("same", 0.02 * sign)):
            runs.append(run([0.5, level + more]))
            arms.append(arm)
            seeds.append(seed)
    return collect_runs(runs, arms, seeds, [2] * len(runs))


def test_the_table_holds_every_figure_once_and_labels_add_up(compared):
    assert check_table("comparison", compared).height == 7 * 3 * 10
    one = compared.filter(pl.col("arm") == "same", pl.col("seed") == 2)
    assert dict(one.select("round", "labels").iter_rows()) == {0: 0, 1: 8, 2: 12}
    assert set(one["metric"]) == {"labels", "gold_score", "win_rate", "gold_pairs"}


def test_labels_that_were_given_as_pairs_count_too():
    given = collect_runs([run([0.5, 0.6, 0.6], (0, 0, 0), (None, 6, 0))], ["spa"], [0], [2])
    assert by_seed(given, "spa", "win_rate")["labels"].to_list() == [12]


@pytest.mark.parametrize(("kept", "win_rate"), [(2, 0.55), (1, 0.6), (0, 0.5)])
def test_an_arm_counts_by_the_round_it_returned_and_by_all_labels_it_took(kept, win_rate):
    runs = [run([0.6, 0.55])] * 2
    table = check_table("comparison", collect_runs(runs, ["best", "best"], [0, 1], [kept, 2]))
    assert by_seed(table, "best", "win_rate").row(0) == (0, win_rate, 12)
    assert [point.at for point in curve(table, "best", "win_rate")][:1] == [0]
    assert len(curve(table, "best", "win_rate")) == 3


def test_a_curve_ends_where_the_runs_ended_and_not_where_the_best_of_them_did():
    table = collect_runs([run([0.6, 0.4]), run([0.6, 0.9])], ["best", "best"], [0, 1], [1, 2])
    points = curve(table, "best", "win_rate")
    assert [(point.value, point.n) for point in points] == [(0.5, 2), (0.6, 2), (0.75, 2)]
    assert points[-1] == final(table, "best", "win_rate")


def test_the_last_round_and_the_way_to_it(compared):
    point = final(compared, "chance", "win_rate")
    assert (point.at, point.n) == (12, 7)
    assert point.value == pytest.approx(0.56)
    way = curve(compared, "chance", "win_rate")
    assert [(p.at, p.value) for p in way[:2]] == [(0, 0.5), (8, 0.5)]
    assert way[2] == point
    assert [p.at for p in curve(compared, "chance", "gold_score")] == [0, 8, 12]


def test_differences_are_paired_by_seed(compared):
    better, same = differences(compared, AGAINST_CHANCE, "win_rate")
    assert better.by_seed == pytest.approx(0.05 + np.arange(7) / 1000)
    assert (better.p, better.p_corrected) == (2**-6, 2**-5)
    assert (better.verdict, same.verdict) == ("higher", "no difference seen")
    # seeds that differ by far more than the arms take nothing away from that
    low, high = better.interval
    assert 0.05 < low < better.mean < high < 0.056
    shuffled = compared.sample(fraction=1, shuffle=True, seed=0).sort(
        pl.col("arm").replace_strict({"chance": 0, "better": 1, "same": 2}), maintain_order=True
    )
    again = differences(shuffled, AGAINST_CHANCE, "win_rate")
    assert [(d.arm, d.interval, d.p) for d in again] == [
        (d.arm, d.interval, d.p) for d in (better, same)
    ]


def test_where_one_seed_widens_the_interval_beyond_0_all_others_are_not_passed_over():
    by_seed = np.array([-0.03, -0.02, -0.04, -0.03, -0.05, -0.02, -0.03, -0.01, -0.5, -0.02])
    low, high = interval_over_seeds(by_seed)
    p = sign_flip_test(by_seed)
    assert low < 0 < high
    assert p < 0.05
    assert Difference("a", "b", "win_rate", by_seed, (low, high), p, p).verdict == "not settled"


def test_few_seeds_settle_nothing(compared):
    five = compared.filter(pl.col("seed") < 5)
    better, _ = differences(five, AGAINST_CHANCE, "win_rate")
    assert better.interval[0] > 0
    assert better.verdict == "not settled"
    one = differences(compared.filter(pl.col("seed") == 0), AGAINST_CHANCE, "win_rate")
    assert {d.verdict for d in one} == {"one seed says nothing"}


def test_unequal_labels_are_marked_and_explained(preset):
    runs = [run([0.5, 0.6]), run([0.5, 0.7], (0, 8, 0), (None, 4, 0))]
    table = collect_runs(runs * 2, ["random", "aepo"] * 2, [0, 0, 1, 1], [1, 2, 1, 2])
    assert unequal(table, [("aepo", "random")]) == [("aepo", "random")]
    for why in ({}, {"aepo": "because"}):
        text = render_markdown(comparison_page(table, Comparison(**preset, other_budget=why)))
        assert "| aepo | 2 | 8 ≠ |" in text
        assert ("aepo: because." in text) == bool(why)
        assert "≠ Not the labels of what it is compared with" in text


def test_the_page_shows_intervals_verdicts_and_plots(compared, preset):
    preset |= {"arms": {"chance": {}, "better": {}, "same": {}}, "baseline": "chance"}
    comparison = Comparison(**preset | {"claim": "<b> is better"})
    page = comparison_page(compared, comparison)
    text = render_markdown(page)
    assert "| chance (baseline) | 7 | 12 | 56.0 % [" in text
    assert "| better | chance | win rate | +5.3 [+5." in text
    assert "| same | chance | win rate | +0.3 [-" in text
    assert "no difference seen" in text
    assert "p cannot be below 0.016, corrected 0.031" in text
    assert len(text.encode()) < 100_000  # what Prefect takes
    html = render_html(page)
    assert html.count("<svg") == 4
    assert "**better beats chance over 7 seeds: win rate +5.3 [+5." in text
    assert "1 of 2 differences are settled.**" in text
    assert "&lt;b&gt; is better" in html


def test_runs_that_were_compared_and_not_scored_have_a_page_without_scores(compared, preset):
    preset |= {"arms": {"chance": {}, "better": {}, "same": {}}, "baseline": "chance"}
    controlled = compared.filter(metric="win_rate").with_columns(
        metric=pl.lit("length_controlled_win_rate"), value=pl.col("value") - 0.05
    )
    table = pl.concat([compared.filter(pl.col("metric") != "gold_score"), controlled])
    page = comparison_page(table, Comparison(**preset))
    text = render_markdown(page)
    assert "gold score" not in text
    assert re.search(r"\| chance \(baseline\) \| 7 \| 12 \| 56.0 % [^|]*\| 51.0 % ", text)
    assert render_html(page).count("<svg") == 2
