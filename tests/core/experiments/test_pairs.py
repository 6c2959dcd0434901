"""Arms that are compared in pairs, lines over budgets, and the figures beside a win rate."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from pydantic import ValidationError

from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.page import comparison_page, table_of_arms, table_of_differences
from prefopt_core.experiments.plots import plot_curves, plot_differences
from prefopt_core.experiments.results import (
    METRICS,
    collect_runs,
    differences,
    final,
    line,
    unequal,
)
from prefopt_core.ground.tables import TABLES
from prefopt_core.reports.page import Plots
from prefopt_core.reports.render import render_markdown

ROOT = Path(__file__).parents[3]
HALF = {"rounds.0.labels": 4}


@pytest.fixture
def preset():
    """The tiny one, with a second pair of arms at half of the labels."""
    settings = yaml.safe_load((ROOT / "presets" / "tiny.yaml").read_text())
    random, aepo = settings["arms"]["random"], settings["arms"]["aepo"]
    settings["arms"] |= {"random half": random | HALF, "aepo half": aepo | HALF}
    settings["against"] = {"aepo half": "random half", "random half": "random"}
    settings["other_budget"] = {"random half": "half of the labels"}
    return settings


def run(last, labels, **more):
    """A `metrics` table of one round that ends at this win rate, with other figures of its end."""
    rows = [
        (0, "labels", 0.0, None, None, 0), (0, "response_words", 10.0, 9.0, 11.0, 10),
        (1, "labels", float(labels), None, None, labels), (1, "win_rate", last, 0.0, 1.0, 10),
        (1, "gold_score", 4 * last, 0.0, 9.0, 10), (1, "gold_pairs", 2.0, None, None, 2),
    ]  # fmt: skip
    rows += [(1, name, value, 0.0, 99.0, 10) for name, value in more.items()]
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


@pytest.fixture
def table():
    """Four seeds of four arms: AEPO gains 0.05 with all labels and 0.1 with half of them."""
    runs, arms, seeds = [], [], []
    for seed in range(4):
        for arm, rate, labels, more in (
            ("random", 0.6, 12, {"response_words": 12.0 + seed}),
            ("aepo", 0.65, 12, {"response_words": 20.0, "self_label_agreement": 0.7}),
            ("random half", 0.5, 4, {}),
            ("aepo half", 0.6, 4, {}),
        ):
            runs.append(run(rate + seed / 100, labels, **more))
            arms.append(arm)
            seeds.append(seed)
    return collect_runs(runs, arms, seeds, [1] * len(runs))


# --- what a preset may say --------------------------------------------------------------------


def test_every_arm_but_the_baseline_has_an_opponent(preset):
    assert Comparison(**preset).matches == [
        ("aepo", "random"), ("random half", "random"), ("aepo half", "random half")
    ]  # fmt: skip
    preset["against"]["random"] = "aepo"  # a baseline may have one too
    assert ("random", "aepo") in Comparison(**preset).matches


def test_an_arm_may_have_several_opponents_or_none(preset):
    preset["against"] = {"aepo half": ["random half", "random"], "aepo": []}
    preset["other_budget"]["aepo half"] = "half of the labels"
    assert Comparison(**preset).matches == [
        ("random half", "random"), ("aepo half", "random half"), ("aepo half", "random")
    ]  # fmt: skip


def test_an_arm_has_the_budget_of_what_it_is_compared_with(preset):
    Comparison(**preset)  # aepo half has that of random half, and no reason not to
    preset["against"]["aepo half"] = "random"
    with pytest.raises(ValidationError, match="'random' 12") as caught:
        Comparison(**preset)
    assert "arm aepo half: It may use 8 labels" in str(caught.value)


def test_common_settings_reach_every_arm_unless_it_says_otherwise(preset):
    preset["common"] = {"generation.n": 6, "selection.k": 3, "scoring.params.batch_size": 4}
    preset["common"] |= {"rounds.0.labels": 9, "rounds.1.labels": 3}
    preset["arms"]["aepo"] |= {"scoring.params.batch_size": 5}
    preset["other_budget"]["aepo half"] = "its own"
    comparison = Comparison(**preset)
    cells = {cell.arm: cell.config for cell in comparison.of_seed(0)}
    assert {arm: config.generation.n for arm, config in cells.items()} == dict.fromkeys(cells, 6)
    assert {arm: config.scoring.params["batch_size"] for arm, config in cells.items()} == {
        "random": 4, "aepo": 5, "random half": 4, "aepo half": 4
    }  # fmt: skip
    assert [config.rounds[0].labels for config in cells.values()] == [9, 9, 4, 4]
    assert cells["random"].selection.strategy == "random"


# --- what it came to --------------------------------------------------------------------------


def test_arms_are_compared_in_pairs(table, preset):
    matches = Comparison(**preset).matches
    found = differences(table, matches, "win_rate")
    assert [(d.arm, d.other) for d in found] == matches
    assert [d.mean for d in found] == pytest.approx([0.05, -0.1, 0.1])
    assert [d.p for d in found] == [1 / 8] * 3
    assert [d.p_corrected for d in found] == [3 / 8] * 3  # for the number of pairs
    rows = table_of_differences(found).rows
    assert [row[:3] for row in rows] == [[*pair, "win rate"] for pair in matches]


def test_labels_are_unequal_to_those_of_the_opponent(table, preset):
    assert unequal(table, Comparison(**preset).matches) == [("random half", "random")]
    text = render_markdown(comparison_page(table, Comparison(**preset)))
    assert "| random half | 4 | 4 ≠ |" in text
    assert "| aepo half | 4 | 4 |" in text
    assert "random half: half of the labels." in text
    assert "| aepo half | random half | win rate | +10.0 [" in text


def test_figures_beside_the_win_rate_are_shown_where_they_were_measured(table, preset):
    arms = table_of_arms(table, Comparison(**preset))
    rows = [[str(cell) for cell in row] for row in arms.rows]
    assert arms.header[-2:] == ["words", "self-labels right"]
    assert rows[0][-2].startswith("13.50 [")
    assert rows[0][-1] == "–"  # random has no labels of its own
    assert [cell.partition(" [")[0] for cell in rows[1][-2:]] == ["20.00", "70.0 %"]
    bare = table.filter(pl.col("metric") != "self_label_agreement")
    assert table_of_arms(bare, Comparison(**preset)).header[-1] == "words"


def test_what_was_not_measured_at_the_end_is_none(table):
    assert final(table, "random", "self_label_agreement") is None
    assert final(table, "aepo", "self_label_agreement").value == pytest.approx(0.7)


def test_a_line_goes_through_the_ends_of_its_arms_by_their_labels(table):
    points = line(table, ["aepo", "aepo half", "not run yet"], "win_rate", {})
    assert [(p.at, p.n) for p in points] == [(4, 4), (12, 4)]
    assert [p.value for p in points] == pytest.approx([0.615, 0.665])
    assert points[1] == final(table, "aepo", "win_rate")
    assert line(table, ["not run yet"], "win_rate", {}) == []


def test_a_line_may_go_over_a_setting_in_place_of_labels(table, preset, monkeypatch):
    lines = {"AEPO": ("aepo", "aepo half"), "random": ("random half", "random")}
    for number, arm in enumerate(preset["arms"].values()):
        arm["training.beta"] = 0.5 - 0.1 * number
    comparison = Comparison(**preset, lines=lines, over="training.beta")
    places = comparison.places()
    assert [places[arm] for arm in preset["arms"]] == pytest.approx([0.5, 0.4, 0.3, 0.2])
    points = line(table, lines["random"], "win_rate", places)
    assert [p.at for p in points] == sorted(places[arm] for arm in lines["random"])
    assert {p.value for p in points} == {final(table, a, "win_rate").value for a in lines["random"]}
    figures = []
    monkeypatch.setattr(
        "prefopt_core.experiments.plots.drawn", lambda figure, *_: figures.append(figure)
    )
    plot_curves(table, {"AEPO": lines["AEPO"]}, "training.beta", places)
    axis = figures[0].axes[0]
    assert axis.get_legend_handles_labels()[1] == ["AEPO"]
    assert axis.get_xlabel() == "training.beta"


def test_rounds_that_buy_nothing_stand_apart_if_drawn_over_rounds(preset, monkeypatch):
    assert Comparison(**preset, over="round").places() == {}
    first = run(0.6, 12)
    second = first.filter(pl.col("round") == 1).with_columns(pl.lit(2, pl.Int32).alias("round"))
    table = collect_runs([pl.concat([first, second])] * 2, ["aepo"] * 2, [0, 1], [2, 2])
    figures = []
    monkeypatch.setattr(
        "prefopt_core.experiments.plots.drawn", lambda figure, *_: figures.append(figure)
    )
    plot_curves(table, over="round")
    (bars,) = figures[0].axes[0].containers
    assert bars.lines[0].get_xdata() == pytest.approx([0, 1, 2])


def test_plots_differ_by_what_they_show(table, preset):
    matches = Comparison(**preset).matches
    lines = {"AEPO": ("aepo half", "aepo"), "random": ("random half", "random")}
    curves = [plot_curves(table), plot_curves(table, lines), plot_curves(table, {"A": ("aepo",)})]
    assert len({plot.svg for plots in curves for plot in plots}) == 3 * len(METRICS)
    of_pairs, of_one = (
        plot_differences([d for m in ("win_rate", "gold_score") for d in differences(table, o, m)])
        for o in (matches, [("aepo", "random")])
    )
    assert of_pairs != of_one
    comparison = Comparison(**preset, lines=lines)
    pictures = [
        part.plots for part in comparison_page(table, comparison).parts if isinstance(part, Plots)
    ]
    assert pictures == [curves[1], of_pairs]


def test_legend_names_lines_and_arms_that_belong_to_none(table, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "prefopt_core.experiments.plots.drawn", lambda figure, *_: figures.append(figure)
    )
    plot_curves(table, {"AEPO": ("aepo half", "aepo")})
    axis = figures[0].axes[0]
    assert axis.get_legend_handles_labels()[1] == ["random", "random half", "AEPO"]
    aepo = axis.get_legend_handles_labels()[0][-1].lines[0]
    assert np.diff(aepo.get_xdata()) == pytest.approx([8])
    assert aepo.get_ydata() == pytest.approx([0.615, 0.665])
