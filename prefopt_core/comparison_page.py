"""A comparison as people read it: two tables, two plots, and what may be said."""

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from prefopt_core.comparison import (
    LEVEL,
    METRICS,
    Difference,
    arms_of,
    by_seed,
    differences,
    final,
    unequal,
)
from prefopt_core.comparison_plots import plot_curves, plot_differences
from prefopt_core.paired import Interval, smallest_p
from prefopt_core.presets import Comparison
from prefopt_core.report import html_page, html_table, markdown_table

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Picture:
    """A plot: its name, a `data:` URL or a link, and what it shows."""

    name: str
    url: str
    alt: str


Part = str | Table | Picture
_NAMES = {"win_rate": "win rate", "gold_score": "gold score"}


def table_of_arms(table: pl.DataFrame, baseline: str) -> Table:
    """(header, rows): each arm after its last round."""
    header = ["arm", "seeds", "labels", *_NAMES.values()]
    other = unequal(table, baseline)
    rows = []
    for arm in arms_of(table):
        points = [final(table, arm, metric) for metric in METRICS]
        name = f"{arm} (baseline)" if arm == baseline else arm
        used = _labels(table, arm) + " ≠" * (arm in other)
        figures = [_mean(p.value, p.interval, m) for p, m in zip(points, METRICS, strict=True)]
        rows.append([name, str(points[0].n), used, *figures])
    return header, rows


def _labels(table: pl.DataFrame, arm: str) -> str:
    used = sorted(by_seed(table, arm, METRICS[0])["labels"])
    return f"{used[0]:,}" if used[0] == used[-1] else f"{used[0]:,} to {used[-1]:,}"


def table_of_differences(found: list[Difference], baseline: str) -> Table:
    """(header, rows): what may be said of each arm and metric."""
    header = ["arm", "metric", f"minus {baseline}", "p", "p corrected", "verdict"]
    return header, [
        [
            d.arm, _NAMES[d.metric], _mean(d.mean, d.interval, d.metric, "+"),
            f"{d.p:.3g}", f"{d.p_corrected:.3g}", d.verdict,
        ]
        for d in found
    ]  # fmt: skip


def _mean(value: float, interval: Interval | None, metric: str, sign: str = "") -> str:
    """With its interval; win rates in per cent, their differences in percentage points."""
    scale, form = (100, f"{sign}.1f") if metric == "win_rate" else (1, f"{sign}.2f")
    unit = ("" if sign else " %") if metric == "win_rate" else ""
    shown, *ends = (format(scale * x, form) for x in (value, *(interval or ())))
    return f"{shown}{unit}" + (f" [{', '.join(ends)}]" if ends else " [–]")


def notes(table: pl.DataFrame, baseline: str, why: Mapping[str, str]) -> list[str]:
    """How to read the tables."""
    seeds, others = table["seed"].n_unique(), len(arms_of(table)) - 1
    said = [
        "Win rate: over the seed's own start policy, on held-out prompts, by the gold annotator; "
        "ties count half. Figures are means over seeds, in brackets 95 % bootstrap intervals over "
        "seeds. Differences are paired: the arms of one seed share start policy and prompts.",
        "p: exact sign-flip test over seeds; corrected: for the number of arms, by Holm. With "
        f"{seeds} seeds p cannot be below {smallest_p(seeds):.2g}, corrected "
        f"{min(1.0, others * smallest_p(seeds)):.2g}. “No difference seen” means that the interval "
        f"holds 0, not that there is none; “not settled”, that corrected p is above {LEVEL}. "
        "In the plot of differences a tick is a seed, and a filled dot is settled.",
    ]
    if seeds < 5:
        said.append(f"{seeds} seeds are too few: their intervals are narrower than they should be.")
    if other := unequal(table, baseline):
        reasons = [
            f"{arm}: {why.get(arm, 'not all that were planned were bought')}" for arm in other
        ]
        said.append(f"≠ Not the labels of {baseline}. {'; '.join(reasons)}.")
    return said


def parts_of(table: pl.DataFrame, comparison: Comparison) -> list[Part]:
    """The comparison from top to bottom."""
    baseline = comparison.baseline
    found = [d for metric in METRICS for d in differences(table, baseline, metric)]
    return [
        *([f"Claim: {comparison.claim}"] if comparison.claim else []),
        table_of_arms(table, baseline),
        Picture("curves", plot_curves(table), "win rate and gold score over labels used"),
        table_of_differences(found, baseline),
        Picture("differences", plot_differences(found, baseline), "every arm minus the baseline"),
        *notes(table, baseline, comparison.other_budget),
    ]


def in_markdown(parts: Iterable[Part], title: str) -> str:
    """For Prefect, or for a document."""
    texts = [f"## {title}"]
    for part in parts:
        match part:
            case Picture():
                texts.append(f'<img src="{part.url}" width="860" alt="{part.alt}">')
            case (header, rows):
                texts.append(markdown_table(header, rows))
            case _:
                texts.append(str(part))
    return "\n\n".join(texts) + "\n"


def in_html(parts: Iterable[Part], title: str, preset: str) -> str:
    """One self-contained page, with the YAML of the preset."""
    texts = []
    for part in parts:
        match part:
            case Picture():
                texts.append(f'<img src="{part.url}" alt="{part.alt}">')
            case (header, rows):
                texts.append(html_table(header, rows))
            case _:
                texts.append(f"<p>{html.escape(str(part))}</p>")
    return html_page(title, [*texts, f"<h2>Preset</h2><pre>{html.escape(preset)}</pre>"])
