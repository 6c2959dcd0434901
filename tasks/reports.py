"""Reports: made again on every run, also when everything else came from the store."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import yaml

from prefopt_core.experiments.flows import Experiment
from prefopt_core.ground.files import explained, publish, temporary
from prefopt_core.reports.run import html_report, markdown, shortened
from prefopt_core.reports.selection import Chosen
from prefopt_core.store.artifacts import Artifact, sha256_of
from prefopt_core.store.last_run import note_latest
from prefopt_core.store.store import Store
from tasks.stage import inside_flow_run, leaves_pages, planning

Choice = tuple[Artifact, Artifact, Artifact | None, Artifact]
"""(selections, candidates, embeddings, prompts) of one round."""

_EXAMPLES = 20


def report_round(
    flow: str,
    metrics: Sequence[Artifact],
    preferences: Artifact | None,
    choice: Choice | None = None,
) -> None:
    """Show the rounds so far in Prefect: one markdown report, and a table of pairs."""
    if planning() or not inside_flow_run():
        return
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    round_number = len(metrics) - 1
    figures = pl.concat([Store.open().read(table) for table in metrics])
    title = f"{flow}: round {round_number}" if round_number else f"{flow}: start policy"
    create_markdown_artifact(
        markdown(figures, title, _chosen(choice)),
        key=f"{flow}-round-{round_number}",
        description=title,
    )
    if preferences is not None:
        pairs = Store.open().read(preferences)
        create_table_artifact(
            _rows(pairs.head(_EXAMPLES)),
            key=f"{flow}-pairs-{round_number}",
            description=f"{min(_EXAMPLES, pairs.height)} of {pairs.height:,} pairs of round "
            f"{round_number}; all of them: `prefopt show {preferences.digest[:12]}`",
        )


def _chosen(choice: Choice | None) -> Chosen | None:
    if choice is None:
        return None
    read = Store.open().read
    selections, candidates, embeddings, prompts = choice
    vectors = read(embeddings) if embeddings else None
    return Chosen(read(selections), read(candidates), vectors, read(prompts))


def _rows(pairs: pl.DataFrame) -> list[dict[str, object]]:
    return [
        {
            "source": row["source"],
            "margin": round(row["margin"], 3),
            **{
                side: shortened(row[side][-1]["content"], 80)
                for side in ("prompt", "chosen", "rejected")
            },
        }
        for row in pairs.iter_rows(named=True)
    ]


def write_report(
    flow: str,
    config: Experiment,
    metrics: Sequence[Artifact],
    preferences: Sequence[Artifact],
    kept: int,
    choice: Choice | None = None,
) -> Path | None:
    """Write the run's HTML page into the store, and what `prefopt export` takes; returns its path.

    `preferences` are the pairs of every round, `kept` is the round whose policy the run returns,
    `choice` is the last round's selection.
    """
    if not leaves_pages():
        return None
    store = Store.open()
    settings = config.model_dump(mode="json")
    page = html_report(
        pl.concat([store.read(table) for table in metrics]),
        store.read(preferences[-1]),
        yaml.safe_dump({"flow": flow, **settings}, sort_keys=False, allow_unicode=True),
        f"prefopt {flow}, seed {config.seed}",
        _chosen(choice),
        kept,
    )
    path = store.root / "runs" / f"{flow}-{sha256_of(settings)[:8]}" / "report.html"
    with explained(store.root), temporary(store.root / "runs") as file:
        file.write_text(page, encoding="utf-8")
        publish(file, path)
    note_latest(store, preferences[: max(1, kept)])
    return path
