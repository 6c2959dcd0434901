"""The plot of docs/agreement.md: what each judge is like."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.agreement.figures import Judged
from prefopt_core.labels.estimates import Estimate
from prefopt_core.labels.honesty import Honesty
from prefopt_core.reports.plots import label_axis, new_figure
from prefopt_core.reports.svg import BLUE, GREY, ORANGE


def plot_judges(judged: Sequence[Judged], gold: Honesty, path: Path) -> None:
    """Four figures of each judge, a row a judge, with 95 % intervals; orange: a habit, surely.

    Args:
        judged: From the top row to the lowest.
        gold: The habits of what is right: how often the longer response is the better one.
        path: Of the PNG.
    """
    panels = (
        ("right, in one order", [one.right for one in judged], 0.5, "a coin"),
        ("changes with the order", [one.habits.flips for one in judged], 0.0, "fair"),
        ("prefers the one shown first", [one.habits.first for one in judged], 0.5, "fair"),
        (
            "prefers the clearly longer",
            [one.habits.clearly_longer for one in judged],
            gold.clearly_longer.value,
            "is the better one",
        ),
    )
    figure = new_figure(10.5, 3.9)
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, (title, values, fair, name) in zip(axes, panels, strict=True):
        for row, value in enumerate(values):
            habit = axis not in axes[:1]  # to be right is none
            colour = ORANGE if habit and _unfair(value, fair) else BLUE
            axis.hlines(row, value.low, value.high, color=colour, linewidth=1.6)
            axis.plot([value.value], [row], "o", color=colour, markersize=5)
        axis.axvline(fair, color=GREY, linestyle="--", linewidth=1)
        label_axis(axis, title, f"dashed: {name} ({100 * fair:.0f} %)")
        axis.set(xlim=(-0.03, 1.03), xticks=[0, 0.5, 1])
        axis.xaxis.set_major_formatter(lambda share, _: f"{100 * share:.0f} %")
        axis.grid(axis="x", alpha=0.3)
        axis.set_yticks(range(len(judged)), [one.habits.rater for one in judged])
    axis.invert_yaxis()
    figure.savefig(path, dpi=110)


def _unfair(value: Estimate, fair: float) -> bool:
    return not value.low <= fair <= value.high
