"""Pages on a run: one for Prefect after every round, one that the finished run leaves."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.ground.ids import last_text
from prefopt_core.labels.asked import Proposal
from prefopt_core.reports.page import (
    Cell,
    ChosenRejected,
    Code,
    Fold,
    Heading,
    Notice,
    Page,
    Part,
    Plot,
    Table,
    Text,
)
from prefopt_core.reports.plots import plot_reliability, plot_rounds
from prefopt_core.reports.rounds import (
    DIAGNOSTICS,
    note_on_diagnostics,
    rounds_in_words,
    table_by_round,
)
from prefopt_core.reports.selection import selection_examples, selection_summary
from prefopt_core.reports.values import shortened

_EXAMPLES = 5
"""Pairs of each source that a page shows."""


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
            *_plot("rounds", plot_rounds(metrics), "figures by round"),
            *_diagnostics(metrics),
            *(selection_summary(chosen) if chosen else []),
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
) -> Page:
    """A finished run: rounds, diagnostics, the last selection and its pairs, the config.

    Args:
        metrics: The `metrics` tables of all rounds, one after the other.
        preferences: The `preferences` table of the last round.
        config: The run's settings as YAML.
        title: Of the page.
        chosen: The selection of the last round, if it has one.
        kept: The round whose policy the run returned.
        doubts: What is doubtful about the config and what it names.
        trust: How far the labels can be trusted.
    """
    alt = "how sure the policy was, and how often right"
    selection = [*selection_summary(chosen), *selection_examples(chosen)] if chosen else []
    return Page(
        title,
        [
            *rounds_in_words(metrics, kept),
            *map(Notice, doubts),
            *_plot("rounds", plot_rounds(metrics), "figures by round"),
            *trust,
            *_diagnostics(metrics, *_plot("reliability", plot_reliability(metrics), alt)),
            *selection,
            Heading(f"Pairs of the last round ({preferences.height:,})"),
            table_of_pairs(preferences),
            Heading("Config"),
            Fold("All settings of the run", [Code(config)]),
        ],
    )


def _plot(name: str, url: str, alt: str) -> list[Part]:
    """The plot, if there was something to draw."""
    return [Plot(name, url, alt)] if url else []


def _diagnostics(metrics: pl.DataFrame, *plots: Part) -> list[Part]:
    table = table_by_round(metrics, DIAGNOSTICS)
    return [Heading("Diagnostics"), table, *plots, Text(note_on_diagnostics())]


def table_of_pairs(preferences: pl.DataFrame) -> Table:
    """The first pairs of each source of a `preferences` table: bought labels and the policy's."""
    rows: list[list[Cell]] = []
    some = preferences.group_by("source", maintain_order=True).head(_EXAMPLES)
    for row in some.iter_rows(named=True):
        prompt, chosen, rejected = (
            shortened(last_text(row[side]), 400) for side in ("prompt", "chosen", "rejected")
        )
        sure = f", {row['confidence']:.2f} sure" if row["source"] == "self" else ""
        rows.append([f"{row['source']}{sure}", prompt, ChosenRejected(chosen, rejected)])
    return Table(["source", "prompt", "chosen / rejected"], rows)
