"""Comparisons: the metrics of many runs in one table `comparison`, and its page."""

from dataclasses import replace
from pathlib import Path

import polars as pl

from prefopt_core.experiments.facts import facts_of
from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.page import comparison_page, preset_of
from prefopt_core.experiments.results import collect_runs
from prefopt_core.reports.render import render_html, render_markdown
from prefopt_core.store.artifacts import Artifact, sha256_of
from prefopt_core.store.lineage import made_at
from tasks.session import current_store
from tasks.stage import inside_flow_run, stage


@stage("compare", table="comparison", version=1)
def compare_runs(
    metrics: list[pl.DataFrame],
    rounds: list[int],
    arms: list[str],
    seeds: list[int],
    kept: list[int],
) -> pl.DataFrame:
    """Put the metrics of runs into one table.

    Args:
        metrics: Tables `metrics` of every round of every run, one run after the other.
        rounds: Number of these tables per run.
        arms: Arm of each run.
        seeds: Seed of each run.
        kept: The round whose policy each run returned.
    """
    read = iter(metrics)
    runs = [pl.concat([next(read) for _ in range(count)]) for count in rounds]
    return collect_runs(runs, arms, seeds, kept)


def report_comparison(table: Artifact, comparison: Comparison) -> Path:
    """Write the page into the store, and show it in Prefect; returns its path."""
    page = comparison_page(current_store().read(table), comparison)
    cells = comparison.of_seed(comparison.first_seed)
    facts = facts_of([cell.config for cell in cells], made_at(current_store(), "compare", table))
    whole = replace(page, parts=[facts, *page.parts, preset_of(comparison)])
    path = current_store().put_page(f"{_name(comparison)}/report.html", render_html(whole))
    if inside_flow_run():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(render_markdown(page), key="comparison", description=page.title)
    return path


def write_settings(comparison: Comparison, name: str, settings: str) -> Path:
    """Leave one run's YAML beside the page, so that it can be run alone; returns its path."""
    return current_store().put_page(f"{_name(comparison)}/{name}.yaml", settings)


def _name(comparison: Comparison) -> str:
    """The folder of a comparison's page; more seeds go to the same place."""
    same = comparison.model_dump(mode="json", exclude={"seeds", "first_seed"})
    return f"compare-{sha256_of(same)[:8]}"
