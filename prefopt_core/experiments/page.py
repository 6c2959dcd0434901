"""A comparison as people read it: two tables, two plots, and what may be said."""

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.paired import EXACT, Interval, smallest_p
from prefopt_core.experiments.plots import plot_curves, plot_differences
from prefopt_core.experiments.results import (
    BEHIND,
    BESIDE,
    LEVEL,
    METRICS,
    Difference,
    Point,
    after,
    arms_of,
    by_seed,
    differences,
    final,
    unequal,
)
from prefopt_core.reports.run import html_page, html_table, markdown_table

Table = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Picture:
    """A plot: its name, a `data:` URL or a link, and what it shows."""

    name: str
    url: str
    alt: str


Part = str | Table | Picture
_NAMES = {
    "win_rate": "win rate",
    "gold_score": "gold score",
    "response_words": "words",
    "self_label_agreement": "self-labels right",
    "self_label_confidence": "policy sure of them",
    "flagged": "flagged",
    "flagged_wrong": "of them wrong",
    "self_pair_words": "chosen − rejected words",
    "kl_from_start": "KL from start",
    "chosen_shift": "log-prob. of chosen",
    "distinct_2": "distinct word pairs",
}
_PERCENT = {
    *("win_rate", "self_label_agreement", "self_label_confidence"),
    *("flagged", "flagged_wrong", "distinct_2"),
}


def table_of_arms(table: pl.DataFrame, comparison: Comparison) -> Table:
    """(header, rows): what each arm returned."""
    beside = [metric for metric in BESIDE if metric in table["metric"]]
    shown = (*METRICS, *beside)
    header = ["arm", "seeds", "labels", *(_NAMES[metric] for metric in shown)]
    marked = _of_other_budgets(table, comparison)
    rows = []
    for arm in arms_of(table):
        name = f"{arm} (baseline)" if arm == comparison.baseline else arm
        labels = by_seed(table, arm, METRICS[0])["labels"].sort()
        used = f"{labels[0]:,}" if labels[0] == labels[-1] else f"{labels[0]:,} to {labels[-1]:,}"
        figures = [_figure(final(table, arm, metric), metric, len(labels)) for metric in shown]
        rows.append([name, str(len(labels)), used + " ≠" * (arm in marked), *figures])
    return header, rows


def _figure(point: Point | None, metric: str, seeds: int) -> str:
    if point is None:
        return "–"
    some = f" ({point.n} of {seeds} seeds)" if point.n < seeds else ""
    return _mean(point.value, point.interval, metric) + some


def table_of_rounds(table: pl.DataFrame) -> Table | None:
    """(header, rows): every round in which an arm labelled itself; None if none did."""
    shown = [metric for metric in BEHIND if metric in table["metric"]]
    if BEHIND[0] not in shown:
        return None
    rows = []
    for arm in arms_of(table):
        seeds = by_seed(table, arm, METRICS[0]).height
        for number in table.filter(pl.col("arm") == arm)["round"].unique().sort():
            if after(table, arm, BEHIND[0], number):
                points = {metric: after(table, arm, metric, number) for metric in shown}
                figures = [_figure(point, metric, seeds) for metric, point in points.items()]
                rows.append([arm, str(number), *figures])
    return ["arm", "round", *(_NAMES[metric] for metric in shown)], rows


def table_of_differences(found: list[Difference]) -> Table:
    """(header, rows): what may be said of each arm and metric."""
    header = ["arm", "minus", "metric", "difference", "p", "p corrected", "verdict"]
    return header, [
        [
            d.arm, d.other, _NAMES[d.metric], _mean(d.mean, d.interval, d.metric, "+"),
            f"{d.p:.3g}", f"{d.p_corrected:.3g}", d.verdict,
        ]
        for d in found
    ]  # fmt: skip


def _mean(value: float, interval: Interval | None, metric: str, sign: str = "") -> str:
    """With its interval; shares in per cent, their differences in percentage points."""
    scale, form = (100, f"{sign}.1f") if metric in _PERCENT else (1, f"{sign}.2f")
    unit = ("" if sign else " %") if metric in _PERCENT else ""
    shown, *ends = (format(scale * x, form) for x in (value, *(interval or ())))
    return f"{shown}{unit}" + (f" [{', '.join(ends)}]" if ends else " [–]")


def notes(table: pl.DataFrame, comparison: Comparison) -> list[str]:
    """How to read the tables."""
    seeds, matches = table["seed"].n_unique(), len(comparison.matches)
    said = [
        "Win rate: over the seed's own start policy, on held-out prompts, by the gold annotator; "
        "ties count half. Figures are means over seeds, in brackets 95 % bootstrap intervals over "
        "seeds. Differences are paired: the arms of one seed share start policy and prompts.",
        f"p: {'exact ' * (seeds <= EXACT)}sign-flip test over seeds; corrected: for the number of "
        "comparisons by one metric, by Holm. "
        f"With {seeds} seeds p cannot be below {smallest_p(seeds):.2g}, corrected "
        f"{min(1.0, matches * smallest_p(seeds)):.2g}. “No difference seen”: the interval "
        f"holds 0, not that there is none; “not settled”, that corrected p is above {LEVEL}. "
        "In the plot of differences a tick is a seed, and a filled dot is settled.",
    ]
    if BEHIND[0] in table["metric"]:
        said.append(
            "Flagged: share of self-labelled pairs that noise detection doubts after its warm-up; "
            "words: of the policy's own pairs; log-probability of chosen: its change by the "
            "round's training, in nats; KL: nats per held-out response. The report of a run has "
            "more."
        )
    if seeds < 5:
        said.append(f"{seeds} seeds are too few: their intervals are narrower than they should be.")
    if chosen := _best_rounds(comparison):
        said.append(
            f"{', '.join(chosen)}: the best round of a run, chosen by gold score on the prompts "
            "that it is measured on, so a little too good."
        )
    if marked := _of_other_budgets(table, comparison):
        reasons: dict[str, list[str]] = {}  # arms of one reason stand together
        for arm, why in marked.items():
            reasons.setdefault(why, []).append(arm)
        told = "; ".join(f"{', '.join(arms)}: {why}" for why, arms in reasons.items())
        said.append(f"≠ Not the labels of what it is compared with. {told}.")
    return said


def _of_other_budgets(table: pl.DataFrame, comparison: Comparison) -> dict[str, str]:
    """Arm → why it used another number of labels than what it is compared with."""
    why, marked = comparison.other_budget, {}
    for match in unequal(table, comparison.matches):
        told = [arm for arm in match if arm in why]
        fewer = min(match, key=lambda arm: by_seed(table, arm, METRICS[0])["labels"].sum())
        arm = told[0] if told else fewer
        marked[arm] = why.get(arm, "not all that were planned were bought")
    return marked


def _best_rounds(comparison: Comparison) -> list[str]:
    """The arms whose runs return the round that did best."""
    evaluations = {
        arm: comparison.cell(arm, comparison.first_seed).config.evaluation
        for arm in comparison.arms
    }
    return [arm for arm, own in evaluations.items() if own and own.keep == "best"]


def parts_of(table: pl.DataFrame, comparison: Comparison) -> list[Part]:
    """The comparison from top to bottom."""
    found = [d for metric in METRICS for d in differences(table, comparison.matches, metric)]
    return [
        *([f"Claim: {comparison.claim}"] if comparison.claim else []),
        table_of_arms(table, comparison),
        Picture(
            "curves",
            plot_curves(table, comparison.lines, comparison.over, comparison.places()),
            f"win rate and gold score over {comparison.over or 'labels used'}",
        ),
        table_of_differences(found),
        Picture("differences", plot_differences(found), "every arm minus its baseline"),
        *([behind] if (behind := table_of_rounds(table)) else []),
        *notes(table, comparison),
    ]


def with_files(parts: Iterable[Part], folder: Path, prefix: str = "") -> list[Part]:
    """The parts with their plots as .png in a folder, linked by name."""
    linked: list[Part] = []
    for part in parts:
        if isinstance(part, Picture):
            file = folder / f"{prefix}{part.name}.png"
            file.write_bytes(base64.b64decode(part.url.partition(",")[2]))
            part = replace(part, url=file.name)
        linked.append(part)
    return linked


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
