"""Plots of a comparison. Arms differ by colour, by marker and by line style."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from prefopt_core.experiments.results import METRICS, Difference, Point, arms_of, curve, line
from prefopt_core.reports.plots import GREY, data_url, label_axis, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours for all kinds of eyes, without yellow, which paper swallows.
_COLOURS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES = ("-", "--", "-.", ":")
TITLES = {"win_rate": "win rate over the start policy", "gold_score": "gold score"}


def _style(number: int) -> dict[str, Any]:
    lists = {"color": _COLOURS, "marker": _MARKERS, "linestyle": _LINES}
    return {name: values[number % len(values)] for name, values in lists.items()}


def plot_curves(
    table: pl.DataFrame,
    lines: Mapping[str, Sequence[str]] | None = None,
    over: str = "",
    places: Mapping[str, float] | None = None,
) -> str:
    """Win rate and gold score over the labels used, with 95 % intervals, as a `data:` URL.

    Args:
        table: The `comparison` table.
        lines: Name → arms that are one method at several budgets. The other
            arms, all of them by default, are lines over their own rounds.
        over: What is drawn over in place of labels: `round`, or a setting.
        places: Where the arms of lines stand on that setting; they are all that is drawn then.
    """
    arms, lines, places = arms_of(table), lines or {}, places or {}
    alone = [arm for arm in arms if arm not in {arm for own in lines.values() for arm in own}]
    figure = new_figure(9.5, 4.0)
    panels: Sequence[Axes] = figure.subplots(1, len(METRICS))
    for axis, metric in zip(panels, METRICS, strict=True):
        drawn = {arm: curve(table, arm, metric) for arm in alone if not places}
        drawn |= {name: line(table, own, metric, places) for name, own in lines.items()}
        if over == "round":
            drawn = {name: _by_round(points) for name, points in drawn.items()}
        used = sorted({p.at if over else round(p.at) for own in drawn.values() for p in own} - {0})
        used = used or [1]
        for number, (name, points) in enumerate(drawn.items()):
            aside = number - (len(drawn) - 1) / 2  # intervals stand side by side
            if used[-1] > 10 * used[0]:
                at = [point.at * 1.03**aside for point in points]
            else:
                step = min(0.006 * used[-1], 0.3 * used[0] / len(drawn))
                at = [point.at + step * aside for point in points]
            _draw_curve(axis, at, points, name, _style(number))
        label_axis(axis, TITLES[metric], over or "labels used")
        if over == "round":
            axis.set_xticks(range(round(used[-1]) + 1))
        if used[-1] > 10 * used[0]:
            axis.set_xscale("symlog", linthresh=used[0])
            ticks = [0, *_apart(used)]
            axis.set_xticks(ticks, [f"{number:,}" for number in ticks], rotation=40)
            axis.minorticks_off()
    panels[0].axhline(0.5, color=GREY, linewidth=1)
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    handles, names = panels[0].get_legend_handles_labels()
    columns = min(len(names), 5)
    figure.legend(
        handles, names, loc="outside lower center", ncols=columns, fontsize=9, frameon=False
    )
    return data_url(figure)


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


def plot_differences(found: Sequence[Difference]) -> str:
    """Each arm minus what it is compared with: mean, interval, every seed; as a `data:` URL."""
    rows = list(dict.fromkeys((difference.arm, difference.other) for difference in found))
    figure = new_figure(9.5, 1.3 + 0.3 * len(rows))
    panels: Sequence[Axes] = figure.subplots(1, len(METRICS), sharey=True)
    for axis, metric in zip(panels, METRICS, strict=True):
        for difference in found:
            if difference.metric == metric:
                _draw_difference(axis, difference, rows.index((difference.arm, difference.other)))
        axis.axvline(0, color=GREY, linewidth=1)
        label_axis(axis, TITLES[metric].partition(" over ")[0])
        axis.grid(visible=False)
    panels[0].set_yticks(range(len(rows)), [f"{arm} − {other}" for arm, other in rows])
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    panels[0].xaxis.set_major_formatter(lambda value, _: f"{100 * value:+.3g}")
    panels[0].set_xlabel("difference in percentage points", fontsize=9)
    panels[1].set_xlabel("difference", fontsize=9)
    return data_url(figure)


def _draw_difference(axis: "Axes", difference: Difference, row: int) -> None:
    """The mean, filled if the difference is settled, its interval, and a tick for each seed."""
    low, high = difference.interval or (difference.mean,) * 2
    seeds = difference.by_seed
    axis.plot(seeds, np.full(len(seeds), row + 0.22), "|", color=GREY, markersize=6)
    axis.errorbar(
        difference.mean, row, xerr=[[difference.mean - low], [high - difference.mean]], fmt="o",
        color=_COLOURS[1], capsize=3, markersize=7,
        markerfacecolor=_COLOURS[1] if difference.settled else "white",
    )  # fmt: skip
