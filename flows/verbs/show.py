"""The verbs `show` (print a table) and `export` (write preferences for TRL, or a model)."""

import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from flows.verbs.options import Whole
from prefopt_core.export.model import export_model
from prefopt_core.export.preferences import export_preferences, otherwise_written
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.reports.values import shown
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.last_run import latest_preferences
from prefopt_core.store.maintenance import find, folders
from tasks.stage import current_store

LOOKED_AT = 1000
"""The most pairs whose texts are compared with the token ids that were trained."""


def show(
    artifact: Annotated[
        str, Parameter(help="a table's name (its newest), or the start of a digest")
    ],
    /,
    *,
    rows: Annotated[Whole, Parameter(help="how many to show")] = 10,
) -> None:
    """Print the first rows of a table, or the files of a model.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    if rows < 0:
        raise ConfigError(f"--rows is {rows}: it takes 0 or more.")
    store, console = current_store(), Console()
    found = find(store, artifact)[0]
    output = found.output
    if not isinstance(output, Artifact):
        table = Table("file", "bytes", "sha256", title=str(store.folder_path(output)))
        for file in output.files:
            table.add_row(file.name, f"{file.size:,}", file.sha256[:12])
        return console.print(table)
    frame = store.scan(output).head(rows).collect()
    table = Table(
        *frame.columns,
        title=f"{output.table} {output.digest[:12]}, by stage {found.stage}",
        caption=f"{frame.height} of {output.rows:,} rows",
    )
    for row in frame.iter_rows(named=True):
        table.add_row(*(shown(name, value) for name, value in row.items()))
    return console.print(table)


def export(
    folder: Annotated[Path, Parameter(help="where to write it")],
    /,
    *,
    artifact: Annotated[
        str | None,
        Parameter(
            help="a stage or digest, or `train` for the newest policy, whose adapters are merged",
            show_default="all pairs that the last run learned from",
        ),
    ] = None,
    format: Annotated[Literal["parquet", "jsonl"], Parameter(help="of preferences")] = "parquet",
    text: Annotated[
        bool, Parameter(help="plain texts instead of messages, for base models")
    ] = False,
) -> None:
    """Write preferences for `datasets` and TRL, of the last run or named; or a model.

    Raises:
        StoreError: Nothing in the store has that name, it is a table but not of preferences, or no
            run has ended.
    """
    store = current_store()
    named = find(store, artifact)[0].output if artifact else None
    if isinstance(named, Folder):
        print(f"model in {export_model(store.open_folder(named), folder)}")
        return
    chosen = [_preferences(named, artifact)] if named and artifact else latest_preferences(store)
    pairs = store.read_all(chosen)
    path = export_preferences(pairs, folder, format, as_text=text)
    print(f"{pairs.height} pairs in {path}; datasets.load_dataset({str(folder)!r}) reads it")
    looked_at = pairs.gather_every(math.ceil(pairs.height / LOOKED_AT))
    others = otherwise_written(looked_at, folders(store), as_text=text)
    if others:
        reasons = "; ".join(f"{count} {why}" for why, count in others.most_common())
        print(
            f"Of {2 * looked_at.height} responses {others.total()} give other token ids than those "
            f"that were trained: {reasons}."
        )


def _preferences(output: Artifact, name: str) -> Artifact:
    if output.table == "preferences":
        return output
    raise StoreError(
        f"{name!r} is neither a table of preferences nor a model. `prefopt cache ls` shows what "
        "there is; the stage `pair` makes preferences, `train` models."
    )
