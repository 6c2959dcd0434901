"""The page of a comparison: made again on every run, also when everything came from the store."""

from pathlib import Path

import yaml

from prefopt_core.experiments.grid import Comparison
from prefopt_core.experiments.page import in_html, in_markdown, parts_of
from prefopt_core.ground.files import explained, publish, temporary
from prefopt_core.store.artifacts import Artifact, sha256_of
from prefopt_core.store.store import Store
from tasks.stage import inside_flow_run


def report_comparison(table: Artifact, comparison: Comparison) -> Path:
    """Write the page into the store, and show it in Prefect; returns its path."""
    store, title = Store.open(), comparison.title or "Comparison"
    parts = parts_of(store.read(table), comparison)
    settings = comparison.model_dump(mode="json")
    preset = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    path = folder_of(comparison) / "report.html"
    _write(path, in_html(parts, title, preset))
    if inside_flow_run():
        from prefect.artifacts import create_markdown_artifact

        create_markdown_artifact(in_markdown(parts, title), key="comparison", description=title)
    return path


def write_settings(comparison: Comparison, name: str, settings: str) -> Path:
    """Leave one run's YAML beside the page, so that it can be run alone; returns its path."""
    path = folder_of(comparison) / f"{name}.yaml"
    _write(path, settings)
    return path


def folder_of(comparison: Comparison) -> Path:
    """Where a comparison leaves its page; more seeds go to the same place."""
    same = comparison.model_dump(mode="json", exclude={"seeds", "first_seed"})
    return Store.open().root / "runs" / f"compare-{sha256_of(same)[:8]}"


def _write(path: Path, text: str) -> None:
    root = Store.open().root
    with explained(root), temporary(root / "runs") as file:
        file.write_text(text, encoding="utf-8")
        publish(file, path)
