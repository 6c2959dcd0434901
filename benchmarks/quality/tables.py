"""Figures with their uncertainty, as Markdown tables.

An interval is a 95 % percentile bootstrap over prompts; a difference is paired by prompt.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.estimates import Estimate, estimate
from benchmarks.printing import interval, table
from benchmarks.quality.budgets import Purchase
from benchmarks.quality.measures import LABELS, SETS

FloatArray = npt.NDArray[np.float64]

BASE = "random"


def by_prompt(measured: pl.DataFrame) -> pl.DataFrame:
    """Means over draws: one row per method, k and prompt."""
    metrics = [name for name in SETS + LABELS if name in measured.columns]
    keys = ("pool", "method", "k", "prompt")
    means = pl.col(metrics).fill_nan(None).mean()
    return measured.group_by(keys, maintain_order=True).agg(means)


def values_of(frame: pl.DataFrame, method: str, k: int, metric: str) -> FloatArray:
    """(P,) one value per prompt, NaN where there is none."""
    rows = frame.filter((pl.col("method") == method) & (pl.col("k") == k)).sort("prompt")
    return rows[metric].fill_null(np.nan).to_numpy()


def difference(frame: pl.DataFrame, method: str, k: int, metric: str) -> Estimate:
    """How much more than `random` at the same k."""
    return estimate(values_of(frame, method, k, metric) - values_of(frame, BASE, k, metric))


def shown(found: Estimate, *, signed: bool = False) -> str:
    """`0.12 [0.10, 0.14]`; a difference from which 0 is excluded is bold."""
    mean, low, high = found
    if np.isnan(mean):
        return "–"
    text = interval(*found, "+.2f" if signed else ".3f")
    return f"**{text}**" if signed and (low > 0 or high < 0) else text


def set_table(frame: pl.DataFrame, k: int) -> str:
    """Means of the measures that need no labels, by method."""
    metrics = [name for name in SETS if frame[name].is_not_null().any()]
    rows = [
        [method, *(shown(estimate(values_of(frame, method, k, m))) for m in metrics)]
        for method in _methods(frame, k)
    ]
    return table(["method", *metrics], rows)


def all_labels(frame: pl.DataFrame) -> str:
    """What West-of-N buys with the labels of all responses."""
    metrics = _known(frame)
    cells = [shown(estimate(values_of(frame, "west_of_n", 0, m))) for m in metrics]
    return table(["k = N", *metrics], [["west_of_n", *cells]])


def label_table(frame: pl.DataFrame, k: int) -> str:
    """What the labels buy: `random` itself, and every other method's difference to it."""
    metrics = _known(frame)
    random = [shown(estimate(values_of(frame, BASE, k, m))) for m in metrics]
    rows = [[BASE, *random]]
    for method in _methods(frame, k):
        if method != BASE:
            found = (difference(frame, method, k, m) for m in metrics)
            rows.append([method, *(shown(one, signed=True) for one in found)])
    return table([f"k = {k}", *metrics], rows)


def seed_table(measured: pl.DataFrame, ks: Sequence[int]) -> str:
    """How far the means of `random` lie apart when only its seed changes: standard deviations."""
    metrics = [name for name in SETS + LABELS if name in measured.columns]
    rows = []
    for k in ks:
        draws = (
            measured.filter((pl.col("method") == BASE) & (pl.col("k") == k))
            .group_by("draw")
            .agg(pl.col(metrics).fill_nan(None).mean())
        )
        spread = (draws[name].std() for name in metrics)
        rows.append([str(k), *("–" if sd is None else f"{sd:.3f}" for sd in spread)])
    return table(["k", *metrics], rows)


def budget_table(bought: Sequence[Purchase]) -> str:
    """What the same number of labels buys; differences are to AEPO at the smallest k it can pay."""
    base = {p.budget: p for p in reversed(bought) if p.scheme.startswith("aepo")}
    rows = []
    for p in bought:
        row = [f"{p.budget:g}", p.scheme, f"{p.spent:.2f}", f"{p.share.mean():.2f}"]
        row += [f"{np.average(v, weights=p.share):.2f}" for v in (p.chosen, p.margin, p.controlled)]
        row += [f"{p.signal().mean():.2f}", f"{(p.share * p.coverage).mean():.3f}"]
        gap = estimate(p.signal() - base[p.budget].signal())
        rows.append([*row, "–" if p is base[p.budget] else shown(gap, signed=True)])
    rows.sort(key=lambda row: float(row[0]))
    header = ["labels/prompt", "scheme", "spent", "pairs/prompt", "chosen", "margin"]
    header += ["controlled", "margin/prompt", "coverage/prompt", "margin/prompt − aepo"]
    return table(header, rows)


def _methods(frame: pl.DataFrame, k: int) -> list[str]:
    return frame.filter(pl.col("k") == k)["method"].unique(maintain_order=True).to_list()


def _known(frame: pl.DataFrame) -> list[str]:
    """The measures of labels that most prompts have."""
    return [name for name in LABELS if frame[name].null_count() < len(frame) / 2]
