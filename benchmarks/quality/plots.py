"""The plots of docs/selection.md. Every method has a colour, a marker and a dash of its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import polars as pl

mpl.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.estimates import estimate
from benchmarks.quality.budgets import Purchase
from benchmarks.quality.tables import difference, values_of

# Okabe and Ito's colours, which colour-blind readers can tell apart.
STYLES: dict[str, tuple[str, str, str]] = {
    "random": ("#6e7781", "x", ":"),
    "representative": ("#CC79A7", "v", "--"),
    "k_medoids": ("#009E73", "s", "-"),
    "coreset": ("#E69F00", "D", "-."),
    "diverse": ("#56B4E9", "^", "--"),
    "aepo λ=1": ("#0072B2", "o", "-"),
}
SCHEMES: dict[str, tuple[str, str, str]] = {
    "random, k = 2": ("#6e7781", "x", ":"),
    "random, k = 4": ("#6e7781", "+", "--"),
    "aepo, k = 2": ("#0072B2", "o", "-"),
    "k_medoids, k = 2": ("#E69F00", "s", "-"),
    "aepo, k = 4": ("#0072B2", "o", "--"),
    "k_medoids, k = 4": ("#E69F00", "s", "--"),
    "west_of_n": ("#D55E00", "P", "-"),
    "allocate by coverage": ("#009E73", "^", "-"),
    "allocate by objective": ("#CC79A7", "v", "--"),
}
ROWS = ("representative", "k_medoids", "coreset", "aepo λ=0.5", "aepo λ=1", "aepo λ=2", "diverse")
OF_K = {2: ("#0072B2", "o"), 4: ("#D55E00", "s"), 8: ("#009E73", "D")}


def plot_sets(measured: Mapping[str, pl.DataFrame], ks: Sequence[int], path: Path) -> None:
    """What the sets are like against k: a row per measure, a column per pool."""
    measures = {
        "objective": "AEPO objective\n0 = random, 1 = best",
        "coverage": "coverage: mean cosine\nto nearest selected",
        "radius": "radius: 1 − cosine of\nthe worst covered",
    }
    figure, axes = pyplot.subplots(
        len(measures), len(measured), figsize=(3.2 * len(measured), 7.2), sharex=True, squeeze=False
    )
    for row, (metric, title) in zip(axes, measures.items(), strict=True):
        for axis, (name, frame) in zip(row, measured.items(), strict=True):
            for method, (colour, marker, dash) in STYLES.items():
                found = np.array([estimate(values_of(frame, method, k, metric)) for k in ks])
                line = {"color": colour, "marker": marker, "linestyle": dash, "label": method}
                axis.plot(ks, found[:, 0], markersize=5, **line)
                axis.fill_between(ks, found[:, 1], found[:, 2], color=colour, alpha=0.12, lw=0)
            _plain(axis)
            axis.set_xticks(ks)
            if axis in axes[0]:
                axis.set_title(name, fontsize=11)
        row[0].set_ylabel(title, fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("k, labels per prompt", fontsize=9)
    _save(figure, axes[0, 0], path)


def plot_labels(
    measured: Mapping[str, pl.DataFrame], units: Mapping[str, str], ks: Sequence[int], path: Path
) -> None:
    """What labels buy more than at random: a row per pool, a column per measure."""
    measures = {
        "chosen": "score of the chosen",
        "margin": "margin chosen − rejected",
        "controlled": "margin, length taken out",
    }
    if not units:
        return
    figure, axes = pyplot.subplots(
        len(units), len(measures), figsize=(9.6, 3.3 * len(units)), sharey=True, squeeze=False
    )
    for row, (name, unit) in zip(axes, units.items(), strict=True):
        for axis, (metric, title) in zip(row, measures.items(), strict=True):
            for k, shift in zip(ks, np.linspace(-0.16, 0.16, len(ks)), strict=True):
                found = np.array([difference(measured[name], m, k, metric) for m in ROWS])
                _intervals(axis, found, np.arange(len(ROWS)) + shift, k)
            axis.axvline(0, color="#6e7781", lw=1)
            axis.set_yticks(range(len(ROWS)), ROWS, fontsize=9)
            axis.set_title(f"{name}: {title}", fontsize=9.5)
            axis.set_xlabel(f"{unit}, difference to random", fontsize=9)
            _plain(axis, grid="x")
    axes[0, 0].invert_yaxis()  # shared by all: the first method on top
    _save(figure, axes[0, 0], path)


def plot_budgets(
    bought: Mapping[str, Sequence[Purchase]], units: Mapping[str, str], path: Path
) -> None:
    """Coverage and margin that a label brings, against how many there are."""
    figure, axes = pyplot.subplots(
        2, len(bought), figsize=(3.4 * len(bought), 6.2), sharex=True, squeeze=False
    )
    for column, (name, found) in zip(axes.T, bought.items(), strict=True):
        column[0].set_title(name, fontsize=11)
        column[1].set_title(units.get(name, ""), fontsize=9)
        for scheme, style in SCHEMES.items():
            of_scheme = [p for p in found if p.scheme == scheme]
            spent = [p.budget for p in of_scheme]
            coverage = [float((p.share * p.coverage).mean()) / p.spent for p in of_scheme]
            _line(column[0], scheme, style, spent, coverage)
            if name in units:
                signal = [float(p.signal().mean()) / p.spent for p in of_scheme]
                _line(column[1], scheme, style, spent, signal)
        for axis in column:
            _plain(axis)
            axis.set_ylim(bottom=0)
            axis.set_xticks(sorted({p.budget for p in found} - {1.5}))
        if name not in units:
            column[1].set_axis_off()
            column[0].xaxis.set_tick_params(labelbottom=True)
            column[0].set_xlabel("labels per prompt of the pool", fontsize=9)
    axes[0, 0].set_ylabel("coverage per label", fontsize=9)
    axes[1, 0].set_ylabel("margin per label", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("labels per prompt of the pool", fontsize=9)
    _save(figure, axes[0, 0], path)


def _line(
    axis: Axes,
    label: str,
    style: tuple[str, str, str],
    x: Sequence[float],
    y: Sequence[float],
) -> None:
    colour, marker, dash = style
    axis.plot(x, y, color=colour, marker=marker, linestyle=dash, markersize=5, label=label)


def _intervals(
    axis: Axes, found: npt.NDArray[np.float64], at: npt.NDArray[np.float64], k: int
) -> None:
    """Dots with intervals; hollow where the interval holds 0."""
    colour, marker = OF_K[k]
    mean, low, high = found.T
    axis.hlines(at, low, high, color=colour, lw=1.6)
    sure = (low > 0) | (high < 0)
    face = [colour if one else "white" for one in sure]
    axis.scatter(mean, at, marker=marker, s=30, c=face, edgecolors=colour, zorder=3)
    axis.plot([], [], color=colour, marker=marker, label=f"k = {k}")


def _plain(axis: Axes, grid: Literal["x", "y"] = "y") -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis=grid, alpha=0.3)
    axis.tick_params(labelsize=8)


def _save(figure: Figure, axis: Axes, path: Path) -> None:
    """One legend above all panels; no date in the file: the same figures give the same bytes."""
    handles, names = axis.get_legend_handles_labels()
    columns = min(len(names), 4 if figure.get_figwidth() > 8 else 3)
    rows = -(-len(names) // columns)
    figure.tight_layout(rect=(0, 0, 1, 1 - (0.08 + 0.22 * rows) / figure.get_figheight()))
    figure.legend(handles, names, ncols=columns, loc="upper center", frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)
