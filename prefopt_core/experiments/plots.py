"""Plots of a comparison. Arms differ by colour, by marker and by line style."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from prefopt_core.experiments.results import Difference, Point, arms_of, curve, line, measured
from prefopt_core.reports.page import Plot
from prefopt_core.reports.plots import WIDE, label_axis, legend, new_figure
from prefopt_core.reports.svg import BLUE, GREY, PAPER, SERIES, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES = ("-", "--", "-.", ":")
TITLES = {"win_rate": "win rate over the start policy", "gold_score": "gold score"}


def _style(number: int) -> dict[str, Any]:
    lists = {"color": SERIES, "marker": _MARKERS, "linestyle": _LINES}
    return {name: values[number % len(values)] for name, values in lists.items()}


def plot_curves(
    table: pl.DataFrame,
    lines: Mapping[str, Sequence[str]] | None = None,
    over: str = "",
    places: Mapping[str, float] | None = None,
) -> list[Plot]:
    """Win rate and gold score over the labels used, with 95 % intervals, a plot each.

    Args:
        table: The `comparison` table.
        lines: Name → arms that are one method at several budgets. The other
            arms, all of them by default, are lines over their own rounds.
        over: What is drawn over in place of labels: `round`, or a setting.
        places: Where the arms of lines stand on that setting; they are all that is drawn then.
    """
    arms, lines, places = arms_of(table), lines or {}, places or {}
    alone = [arm for arm in arms if arm not in {arm for own in lines.values() for arm in own}]
    plots = []
    for metric in measured(table):
        curves = {arm: curve(table, arm, metric) for arm in alone if not places}
        curves |= {name: line(table, own, metric, places) for name, own in lines.items()}
        if over == "round":
            curves = {name: _by_round(points) for name, points in curves.items()}
        plots.append(_draw_curves(curves, metric, over))
    return plots


def _draw_curves(curves: Mapping[str, Sequence[Point]], metric: str, over: str) -> Plot:
    figure = new_figure(1.25 * WIDE, WIDE + 0.12 * len(curves))
    axis = figure.subplots()
    used = sorted({p.at if over else round(p.at) for own in curves.values() for p in own} - {0})
    used = used or [1]
    far = used[-1] > 10 * used[0]
    for number, (name, points) in enumerate(curves.items()):
        aside = number - (len(curves) - 1) / 2  # intervals stand side by side
        step = min(0.006 * used[-1], 0.3 * used[0] / len(curves))
        at = [p.at * 1.03**aside if far else p.at + step * aside for p in points]
        _draw_curve(axis, at, points, name, _style(number))
    label_axis(axis, TITLES[metric], over or "labels used")
    if over == "round":
        axis.set_xticks(range(round(used[-1]) + 1))
    if far:
        axis.set_xscale("symlog", linthresh=used[0])
        ticks = [0, *_apart(used)]
        axis.set_xticks(ticks, [f"{number:,}" for number in ticks], rotation=40)
        axis.minorticks_off()
    if metric == "win_rate":
        axis.axhline(0.5, color=GREY, linewidth=1)
        axis.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    legend(figure, axis, columns=2)
    alt = f"{TITLES[metric]} over {over or 'labels used'}"
    return drawn(figure, f"curves-{metric.replace('_', '-')}", alt)


def _by_round(points: Sequence[Point]) -> list[Point]:
    return [replace(point, at=number) for number, point in enumerate(points)]


def _apart(numbers: Sequence[float]) -> list[float]:
    """Of ascending numbers those whose labels do not overlap on a logarithmic axis; ends last."""
    kept = [numbers[-1]]
    for number in reversed(numbers):
        if 1.3 * number < kept[-1]:
            kept.append(number)
    return kept[::-1]


def _draw_curve(
    axis: "Axes",
    at: Sequence[float],
    points: Sequence[Point],
    name: str,
    style: dict[str, Any],
) -> None:
    values = np.array([point.value for point in points])
    low, high = np.array([point.interval or (point.value,) * 2 for point in points]).T
    axis.errorbar(
        at, values, yerr=[values - low, high - values], label=name,
        markersize=5, capsize=2.5, linewidth=1.4, elinewidth=1, **style,
    )  # fmt: skip


def plot_differences(found: Sequence[Difference]) -> list[Plot]:
    """Each arm minus what it is compared with: mean, interval, every seed; a plot a metric."""
    metrics = dict.fromkeys(d.metric for d in found)
    return [_draw_differences([d for d in found if d.metric == m], m) for m in metrics]


def _draw_differences(found: Sequence[Difference], metric: str) -> Plot:
    figure = new_figure(1.25 * WIDE, 0.9 + 0.5 * len(found))
    axis = figure.subplots()
    for row, difference in enumerate(found):
        _draw_difference(axis, difference, row)
        axis.text(
            0, row - 0.28, f"{difference.arm} − {difference.other}", fontsize=9, va="bottom",
            transform=axis.get_yaxis_transform(),
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axis.axvline(0, color=GREY, linewidth=1)
    unit = "percentage points" if metric == "win_rate" else "score"
    label_axis(axis, f"difference in {TITLES[metric].partition(' over ')[0]}", unit)
    axis.grid(visible=False)
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.set_ylim(max(len(found), 1) - 0.5, -0.8)
    if metric == "win_rate":
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}")
    name = f"differences-{metric.replace('_', '-')}"
    return drawn(figure, name, f"every arm minus its baseline: {TITLES[metric]}")


def _draw_difference(axis: "Axes", difference: Difference, row: int) -> None:
    """The mean, filled if the difference is settled, its interval, and a tick for each seed."""
    low, high = difference.interval or (difference.mean,) * 2
    seeds = difference.by_seed
    axis.plot(seeds, np.full(len(seeds), row + 0.22), "|", color=GREY, markersize=6)
    axis.errorbar(
        difference.mean, row, xerr=[[difference.mean - low], [high - difference.mean]], fmt="o",
        color=BLUE, capsize=3, markersize=7,
        markerfacecolor=BLUE if difference.settled else PAPER,
    )  # fmt: skip
