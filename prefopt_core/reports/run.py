"""Pages on a run: one for Prefect after every round, one that the finished run leaves."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.inspection import inspect_selection
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import (
    Code,
    Facts,
    Fold,
    Heading,
    Notice,
    Page,
    Part,
    Plot,
    Plots,
    Text,
)
from prefopt_core.reports.plots import plot_reliability, plot_rounds
from prefopt_core.reports.rounds import (
    DIAGNOSTICS,
    note_on_diagnostics,
    rounds_in_words,
    table_by_round,
    table_in_words,
    verdict_of,
    warnings_of,
)
from prefopt_core.reports.samples import pairs_shown
from prefopt_core.reports.selection import selection_examples, selection_summary


def round_page(
    metrics: pl.DataFrame, title: str, chosen: Proposal[pl.DataFrame] | None = None
) -> Page:
    """The rounds so far. As Markdown it stays well below the 100 KB that Prefect takes.

    Args:
        metrics: The `metrics` tables of these rounds, one after the other.
        title: Of the page.
        chosen: The selection of the newest round, if it has one.
    """
    return Page(
        title,
        [
            *rounds_in_words(metrics),
            *_plots(plot_rounds(metrics)),
            *_diagnostics(metrics),
            *(selection_summary(chosen, inspect_selection(chosen)) if chosen else []),
        ],
    )


def run_page(
    metrics: pl.DataFrame,
    preferences: pl.DataFrame,
    config: str,
    title: str,
    chosen: Proposal[pl.DataFrame] | None = None,
    kept: int | None = None,
    doubts: Sequence[str] = (),
    trust: Sequence[Part] = (),
    *,
    facts: Facts | None = None,
    samples: Sequence[Part] = (),
) -> Page:
    """A finished run: what it came to, what it says now, what was bought and learned, the config.

    Args:
        metrics: The `metrics` tables of all rounds, one after the other.
        preferences: The `preferences` table of the last round.
        config: The run's settings as YAML.
        title: Of the page.
        chosen: The selection of the last round, if it has one.
        kept: The round whose policy the run returned.
        doubts: What is doubtful about the config and what it names.
        trust: How far the labels can be trusted.
        facts: When it was, of what model and data.
        samples: What the policy says before and after (`samples.before_and_after`).
    """
    warnings = [*warnings_of(metrics, kept), *map(Notice, doubts)]
    selection: list[Part] = []
    if chosen:
        selection += selection_summary(chosen, inspect_selection(chosen))
        selection += selection_examples(chosen)
    return Page(
        title,
        [
            *([facts] if facts else []),
            verdict_of(metrics, kept),
            *_plots(plot_rounds(metrics)),
            *table_in_words(metrics),
            *([Heading("Warnings, and what may help"), *warnings] if warnings else []),
            *samples,
            Heading("What was bought and learned"),
            Text(bought_and_learned(metrics, preferences)),
            *pairs_shown(preferences),
            *trust,
            *selection,
            *_diagnostics(metrics, *_plots(plot_reliability(metrics))),
            Heading("Config"),
            Fold("All settings of the run", [Code(config)]),
        ],
    )


def bought_and_learned(metrics: pl.DataFrame, preferences: pl.DataFrame) -> str:
    """Labels and pairs of a run, and which of them are shown.

    Args:
        metrics: The `metrics` tables of all rounds.
        preferences: The `preferences` table of the last round.
    """
    labels, gold, own = (
        int(metrics.filter(pl.col("metric") == name)["value"].sum())
        for name in ("labels", "gold_pairs", "self_pairs")
    )
    return (
        f"{counted(labels, 'label')} bought; learned from {counted(gold, 'pair')} of paid labels "
        f"and {own:,} of the policy's own judgment. Below are the first of each kind, of "
        f"{counted(preferences.height, 'pair')} of the last round."
    )


def _plots(plots: Sequence[Plot]) -> list[Part]:
    """The plots, if there was something to draw."""
    return [Plots(plots)] if plots else []


def _diagnostics(metrics: pl.DataFrame, *plots: Part) -> list[Part]:
    table = table_by_round(metrics, DIAGNOSTICS)
    return [Heading("Diagnostics"), table, *plots, Text(note_on_diagnostics())]
