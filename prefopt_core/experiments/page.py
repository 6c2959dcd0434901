"""The page of a comparison: tables of arms and differences, plots, and how to read them."""

from collections.abc import Sequence
from itertools import count

import polars as pl
import yaml

from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.paired import EXACT, Interval, smallest_p
from prefopt_core.experiments.plots import plot_curves, plot_differences
from prefopt_core.experiments.results import (
    ARM_METRICS,
    LEVEL,
    METRICS,
    SELF_LABEL_METRICS,
    SHARES,
    Difference,
    Point,
    after,
    arms_of,
    by_seed,
    differences,
    final,
    measured,
    unequal,
)
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import (
    Cell,
    Code,
    Estimate,
    Fold,
    Heading,
    Page,
    Part,
    Plots,
    Table,
    Text,
    Verdict,
)

_NAMES = {
    "win_rate": "win rate",
    "length_controlled_win_rate": "at equal length",
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


def table_of_arms(table: pl.DataFrame, comparison: Comparison) -> Table:
    """A row per arm of a `comparison` table: what its runs returned, as means over seeds."""
    shown = (*measured(table), *(metric for metric in ARM_METRICS if metric in table["metric"]))
    header = ["arm", "seeds", "labels", *(_NAMES[metric] for metric in shown)]
    marked = _of_other_budgets(table, comparison)
    rows: list[list[Cell]] = []
    for arm in arms_of(table):
        name = f"{arm} (baseline)" if arm == comparison.baseline else arm
        labels = by_seed(table, arm, METRICS[0])["labels"].sort()
        used = f"{labels[0]:,}" if labels[0] == labels[-1] else f"{labels[0]:,} to {labels[-1]:,}"
        means = [_mean_of(final(table, arm, metric), metric, len(labels)) for metric in shown]
        rows.append([name, str(len(labels)), used + " ≠" * (arm in marked), *means])
    return Table(header, rows)


def _mean_of(point: Point | None, metric: str, seeds: int) -> Cell:
    """A mean over seeds; it says so if that is not all of them."""
    if point is None:
        return "–"
    mean = _mean(point.value, point.interval, metric)
    if point.n == seeds:
        return mean
    return Estimate(mean.value, f"{mean.interval} ({point.n} of {seeds} seeds)")


def table_of_self_labelling(table: pl.DataFrame) -> Table | None:
    """A row per arm and round of a `comparison` table with self-labelled pairs; None if none has.

    Its columns are the metrics `SELF_LABEL_METRICS`, those that were measured.
    """
    shown = [metric for metric in SELF_LABEL_METRICS if metric in table["metric"]]
    if SELF_LABEL_METRICS[0] not in shown:
        return None
    rows: list[list[Cell]] = []
    for arm in arms_of(table):
        seeds = by_seed(table, arm, METRICS[0]).height
        for number in table.filter(pl.col("arm") == arm)["round"].unique().sort():
            if after(table, arm, SELF_LABEL_METRICS[0], number):
                points = {metric: after(table, arm, metric, number) for metric in shown}
                means = [_mean_of(point, metric, seeds) for metric, point in points.items()]
                rows.append([arm, str(number), *means])
    return Table(["arm", "round", *(_NAMES[metric] for metric in shown)], rows)


def table_of_differences(found: Sequence[Difference]) -> Table:
    """A row per difference: how large it is, its p values, and what may be said of it."""
    rows: list[list[Cell]] = [
        [
            d.arm, d.other, _NAMES[d.metric], _mean(d.mean, d.interval, d.metric, "+"),
            f"{d.p:.3g}", f"{d.p_corrected:.3g}", d.verdict,
        ]
        for d in found
    ]  # fmt: skip
    return Table(["arm", "minus", "metric", "difference", "p", "p corrected", "verdict"], rows)


def _mean(value: float, interval: Interval | None, metric: str, sign: str = "") -> Estimate:
    """A mean and its interval; shares in per cent, their differences in percentage points."""
    scale, form = (100, f"{sign}.1f") if metric in SHARES else (1, f"{sign}.2f")
    unit = ("" if sign else " %") if metric in SHARES else ""
    shown, *ends = (format(scale * x, form) for x in (value, *(interval or ())))
    return Estimate(f"{shown}{unit}", f"[{', '.join(ends) or '–'}]")


def notes(table: pl.DataFrame, comparison: Comparison) -> list[str]:
    """How to read tables and plots of a `comparison` table, a paragraph each."""
    seeds, matches = table["seed"].n_unique(), len(comparison.matches)
    said = [
        "Win rate: over the seed's own start policy, on held-out prompts, by the gold annotator; "
        "ties count half. Figures are means over seeds, in brackets 95 % t intervals over "
        "seeds. Differences are paired: the arms of one seed share start policy and prompts.",
        f"p: {'exact ' * (seeds <= EXACT)}sign-flip test over seeds; corrected: for the number of "
        "comparisons by one metric, by Holm. "
        f"With {seeds} seeds p cannot be below {smallest_p(seeds):.2g}, corrected "
        f"{min(1.0, matches * smallest_p(seeds)):.2g}. “No difference seen”: the interval "
        f"holds 0 and p is above {LEVEL}, not that there is none; “not settled”: corrected p is "
        f"above {LEVEL}, or interval and p disagree. In the plot of differences a tick is a seed, "
        "and a filled dot is settled.",
    ]
    if SELF_LABEL_METRICS[0] in table["metric"]:
        said.append(
            "Flagged: share of self-labelled pairs that noise detection doubts after its warm-up; "
            "words: of the policy's own pairs; log-probability of chosen: its change by the "
            "round's training, in nats; KL: nats per held-out response. The report of a run has "
            "more."
        )
    if matches and matches * smallest_p(seeds) > LEVEL:
        enough = next(n for n in count(1) if matches * smallest_p(n) <= LEVEL)
        said.append(
            f"{seeds} seeds cannot settle a difference: that takes {enough} or more. So few values "
            "must be normal for their intervals to hold what they say."
        )
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
    """Arm → why it used another number of labels than the arm it is compared with."""
    why, marked = comparison.other_budget, {}
    for match in unequal(table, comparison.matches):
        told = [arm for arm in match if arm in why]
        fewer = min(match, key=lambda arm: by_seed(table, arm, METRICS[0])["labels"].sum())
        arm = told[0] if told else fewer
        marked[arm] = why.get(arm, "not all that were planned were bought")
    return marked


def _best_rounds(comparison: Comparison) -> list[str]:
    """The arms with `evaluation.keep: best`."""
    evaluations = {
        arm: comparison.cell(arm, comparison.first_seed).config.evaluation
        for arm in comparison.arms
    }
    return [arm for arm, own in evaluations.items() if own and own.keep == "best"]


def comparison_page(table: pl.DataFrame, comparison: Comparison) -> Page:
    """The page of a comparison, without its preset.

    Args:
        table: The `comparison` table; seeds may still be missing.
        comparison: The preset.
    """
    found = [
        d for metric in measured(table) for d in differences(table, comparison.matches, metric)
    ]
    curves = plot_curves(table, comparison.lines, comparison.over, comparison.places())
    self_labelling: list[Part] = []
    if own := table_of_self_labelling(table):
        self_labelling = [Heading("The policies' own labels"), own]
    parts: list[Part] = [
        *([Text(f"Claim: {comparison.claim}")] if comparison.claim else []),
        verdict_on(found, table["seed"].n_unique()),
        Plots(curves),
        table_of_arms(table, comparison),
        Heading("Differences"),
        Plots(plot_differences(found)),
        table_of_differences(found),
        *self_labelling,
        Heading("How to read this"),
        *map(Text, notes(table, comparison)),
    ]
    return Page(comparison.title or "Comparison", parts)


def verdict_on(found: Sequence[Difference], seeds: int) -> Verdict:
    """What was found of the win rate, in one sentence, with the difference that is largest.

    Args:
        found: By every metric.
        seeds: How many there are.
    """
    own = [d for d in found if d.metric == METRICS[0]]
    if not own:
        return Verdict("Nothing is compared yet: no seed has two arms to compare.")
    settled = [d for d in own if d.settled]
    first = max(settled or own, key=lambda d: abs(d.mean))
    points = f"{_mean(first.mean, first.interval, first.metric, '+')} points"
    of = f"over {counted(seeds, 'seed')}"
    if not settled:
        return Verdict(
            f"Nothing is settled {of}: the largest of {counted(len(own), 'difference')} in win "
            f"rate, {first.arm} − {first.other}, is {points}."
        )
    said = f"{first.arm} {'beats' if first.mean > 0 else 'loses to'} {first.other} {of}"
    others = f"; {len(settled)} of {len(own)} differences are settled" if len(own) > 1 else ""
    return Verdict(f"{said}: win rate {points}{others}.")


def preset_of(comparison: Comparison) -> Fold:
    """The preset as YAML, defaults written out."""
    settings = comparison.model_dump(mode="json")
    preset = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    return Fold("Preset", [Code(preset)])
