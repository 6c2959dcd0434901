"""Plots as SVG; the same tables give the same bytes. Each is narrow enough for a phone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.labels.estimates import percent
from prefopt_core.reports.inspection import Inspection
from prefopt_core.reports.page import Plot
from prefopt_core.reports.set_quality import PromptResponses, mean
from prefopt_core.reports.svg import BLUE, GREY, ORANGE, PAPER, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, HIGH = 3.5, 2.7
"""Size of a plot in inches, at which its text is as large as a caption's."""
_DOT = 90  # area of a response that was sampled once, in square points: a digit fits in


def plot_rounds(metrics: pl.DataFrame) -> list[Plot]:
    """Win rate, gold score and length by round of `metrics` tables; none if nothing was graded."""
    panels = (
        ("win_rate", "win rate over the start policy", BLUE),
        ("gold_score", "mean gold score", ORANGE),
        ("response_words", "words per response", GREY),
    )
    if not {"win_rate", "gold_score"} & {*metrics["metric"]}:
        return []
    return [_over_rounds(metrics, *panel) for panel in panels if panel[0] in metrics["metric"]]


def _over_rounds(metrics: pl.DataFrame, metric: str, title: str, colour: str) -> Plot:
    figure = new_figure()
    axis = figure.subplots()
    rows = metrics.filter(pl.col("metric") == metric).sort("round")
    value, low, high = (rows[name].to_numpy() for name in ("value", "low", "high"))
    axis.errorbar(
        rows["round"], value, yerr=[value - low, high - value],
        marker="o", markersize=5, color=colour,
    )  # fmt: skip
    label_axis(axis, title, "round (0 is the start)")
    axis.locator_params(axis="x", integer=True, nbins=8)
    last = float(metrics.select(pl.col("round").max()).item())
    axis.set_xlim(-0.1 * max(1.0, last), 1.1 * max(1.0, last))  # alike in all of them
    if metric == "win_rate":
        axis.axhline(0.5, color=GREY, linestyle="--", linewidth=1)
        axis.set_ylim(0, 1.05)
        axis.yaxis.set_major_formatter(lambda share, _: percent(share))
    return drawn(figure, metric.replace("_", "-"), f"{title}, by round")


def plot_reliability(metrics: pl.DataFrame) -> list[Plot]:
    """Share right of the policy's own labels over its confidence, of `metrics`; none if unknown.

    A dot is a bin of pairs of the last round that has some, its area their number; the diagonal is
    a perfectly calibrated judge.
    """
    bins = metrics.filter(pl.col("metric").str.starts_with("right_when_sure_"))
    if bins.is_empty():
        return []
    last = metrics.filter(pl.col("round") == bins["round"].max())
    right, sure = (_bins(last, prefix) for prefix in ("right_when_sure_", "sure_"))
    figure = new_figure(WIDE, 3.2)
    axis = figure.subplots()
    axis.plot([0.5, 1], [0.5, 1], "--", color=GREY, linewidth=1)
    value, low, high = (right[name].to_numpy() for name in ("value", "low", "high"))
    axis.errorbar(
        sure["value"], value, yerr=[value - low, high - value],
        fmt="none", color=BLUE, capsize=3, elinewidth=1,
    )  # fmt: skip
    axis.scatter(sure["value"], value, 25 + 1.5 * right["n"].to_numpy(), color=BLUE, alpha=0.8)
    for x, y, n in zip(sure["value"], value, right["n"], strict=True):
        axis.annotate(f"{n}", (x, y), xytext=(7, -9), textcoords="offset points", fontsize=8)
    label_axis(axis, "The policy's own labels", "how sure the policy was", "share right")
    axis.set(xlim=(0.48, 1.02), ylim=(-0.03, 1.05))
    for part in (axis.xaxis, axis.yaxis):
        part.set_major_formatter(lambda share, _: percent(share))
    return [drawn(figure, "reliability", "how sure the policy was, and how often right")]


def _bins(metrics: pl.DataFrame, prefix: str) -> pl.DataFrame:
    return metrics.filter(pl.col("metric").str.contains(f"^{prefix}[0-9]+$")).sort("metric")


def plot_responses(examples: Sequence[PromptResponses]) -> list[Plot]:
    """Selected responses among all of the first three prompts."""
    return [_draw_plane(prompt, number) for number, prompt in enumerate(examples[:3], 1)]


def plot_by_k(inspection: Inspection) -> list[Plot]:
    """Objective and coverage over k, of AEPO's sets, of random ones and of the selection."""
    return [
        _draw_by_k(inspection, "objective", "Objective f(S) at λ = 1"),
        _draw_by_k(inspection, "coverage", "Coverage: cosine to the nearest selected"),
    ]


def plane(vectors: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Project embeddings on their two principal axes.

    Args:
        vectors: (N, d).

    Returns:
        (N, 2) coordinates, and the share of the variance along each axis. An axis points to
        where its outermost response lies, so that no sign is left to the library's prompt.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    spread = np.pad((u * s)[:, :2], ((0, 0), (0, max(0, 2 - len(s)))))
    outermost = spread[np.abs(spread).argmax(axis=0), [0, 1]]
    shares = np.pad(s**2, (0, 2))[:2] / max(float((s**2).sum()), 1e-12)
    return spread * np.where(outermost < 0, -1.0, 1.0), shares.tolist()


def _draw_plane(prompt: PromptResponses, number: int) -> Plot:
    """One prompt's responses: those left as open circles, the selected filled, with their rank."""
    assert prompt.vectors is not None
    figure = new_figure(WIDE, WIDE)
    axis = figure.subplots()
    points, (across, up) = plane(prompt.vectors)
    x, y = points.T
    area = _DOT * prompt.counts.clip(max=16)  # larger ones would hide the others
    left = np.setdiff1d(np.arange(len(area)), prompt.selected)
    axis.scatter(x[left], y[left], area[left], facecolors="none", edgecolors=GREY)
    for rank, at in enumerate(prompt.selected, 1):
        axis.scatter(x[at], y[at], area[at], color=BLUE, edgecolors=PAPER, zorder=3)
        axis.annotate(
            str(rank), (x[at], y[at]), ha="center", va="center_baseline", zorder=4,
            color=PAPER, fontsize=7.5 if rank < 10 else 6, fontweight="bold",
        )  # fmt: skip
    middle_x, middle_y = (x.min() + x.max()) / 2, (y.min() + y.max()) / 2
    half = 0.65 * max(np.ptp(x), np.ptp(y), 1e-3)  # nothing touches the border, also if all are one
    axis.set(xlim=(middle_x - half, middle_x + half), ylim=(middle_y - half, middle_y + half))
    axis.set(xticks=[], yticks=[], aspect="equal")
    title = f"prompt {number}: {len(prompt.selected)} of {len(area)} selected"
    label_axis(axis, title, f"1st axis, {percent(across)} of variance", f"2nd axis, {percent(up)}")
    return drawn(figure, f"responses-{number}", f"responses to {title}")


def _draw_by_k(inspection: Inspection, name: str, title: str) -> Plot:
    """A measure of AEPO's sets and of random sets over k, and of the inspected selection."""
    figure = new_figure(WIDE, 3.4)
    axis = figure.subplots()
    ks = list(inspection.by_k)
    aepo = np.array(
        [[getattr(quality, name) for quality in sets] for sets, _ in inspection.by_k.values()]
    )
    low, high = np.quantile(aepo, (0.25, 0.75), axis=1)
    axis.plot(ks, aepo.mean(axis=1), "o-", color=BLUE, markersize=4, label="AEPO, mean")
    axis.fill_between(
        ks, low, high, color=BLUE, alpha=0.15, linewidth=0, label="middle half of prompts"
    )
    chance = [mean(sets, name) for _, sets in inspection.by_k.values()]
    axis.plot(ks, chance, "s--", color=GREY, markersize=4, label="random, expected")
    axis.plot(
        [inspection.k], [mean(inspection.selected, name)], "D", color=ORANGE, markersize=9,
        markerfacecolor="none", markeredgewidth=2, label="this selection",
    )  # fmt: skip
    axis.set_xscale("log")  # also far apart, small k keep their places
    axis.minorticks_off()
    axis.set_xticks(ks, [f"{k}\n{_count(k * inspection.prompts)}" for k in ks])
    axis.set_xlim(ks[0] * 0.9, ks[-1] * 1.1)
    label_axis(axis, title, f"labels per prompt, k; below: of {inspection.prompts:,} prompts")
    legend(figure, axis, columns=2)
    return drawn(figure, f"{name}-by-k", f"{name} by labels per prompt")


def _count(labels: int) -> str:
    return f"{labels:,}" if labels < 10_000 else f"{labels / 1000:,.0f}k"


def new_figure(width: float = WIDE, height: float = HIGH) -> "Figure":
    """An empty figure, its size in inches."""
    # Not through pyplot, whose state all threads of a server would share.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def label_axis(axis: "Axes", title: str, across: str = "", up: str = "") -> None:
    """Title, names of the axes and grid, alike in all our plots."""
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(across or axis.get_xlabel(), fontsize=9)
    axis.set_ylabel(up, fontsize=9)
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.7)


def legend(figure: "Figure", axis: "Axes", columns: int) -> None:
    """What the lines of an axis are, below it."""
    handles, names = axis.get_legend_handles_labels()
    figure.legend(
        handles, names, loc="outside lower center", ncols=columns, fontsize=8.5, frameon=False
    )
