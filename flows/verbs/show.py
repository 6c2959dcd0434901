"""The verbs `show` (print a table) and `export` (write preferences for TRL, or a model)."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.terminal import Terminal, say
from flows.verbs.options import Whole
from flows.verbs.runs import print_run
from prefopt_core.export.model import export_model
from prefopt_core.export.preferences import export_preferences, otherwise_written
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.reports.values import shown
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.maintenance import find, folders
from prefopt_core.store.runs import Run, find_run, last_run, runs
from tasks.stage import current_store

LOOKED_AT = 1000
"""The most pairs whose texts are compared with the token ids that were trained."""


def show(
    artifact: Annotated[
        str, Parameter(help="a run, a table's name (its newest), or the start of a digest")
    ],
    /,
    *,
    rows: Annotated[Whole, Parameter(help="how many to show")] = 10,
) -> None:
    """Print what a run came to, the first rows of a table, or the files of a model.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    if rows < 0:
        raise ConfigError(f"--rows is {rows}: it takes 0 or more.")
    store, console = current_store(), Terminal()
    if artifact in {run.name for run in runs(store)}:
        return print_run(find_run(store, artifact), console)
    found = find(store, artifact)[0]
    output = found.output
    if not isinstance(output, Artifact):
        files = [[file.name, f"{file.size:,}", file.sha256[:12]] for file in output.files]
        console.table(["file", "bytes", "sha256"], files, str(store.folder_path(output)))
        return None
    frame = store.scan(output).head(rows).collect()
    console.table(
        frame.columns,
        [[shown(*cell) for cell in row.items()] for row in frame.iter_rows(named=True)],
        f"{output.table} {output.digest[:12]}, by stage {found.stage}",
    )
    say(f"{frame.height} of {output.rows:,} rows")
    return None


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
    run: Annotated[
        str | None, Parameter(help="all pairs that this run learned from, see `prefopt runs`")
    ] = None,
    format: Annotated[Literal["parquet", "jsonl"], Parameter(help="of preferences")] = "parquet",
    text: Annotated[
        bool, Parameter(help="plain texts instead of messages, for base models")
    ] = False,
) -> None:
    """Write preferences for `datasets` and TRL, of a run or named; or a model.

    Raises:
        ConfigError: Both a run and an artifact are named.
        StoreError: Nothing in the store has that name, it is a table but not of preferences, or no
            run has ended.
    """
    store = current_store()
    if artifact and run:
        raise ConfigError("--artifact and --run name two things to export. Give one of them.")
    named = find(store, artifact)[0].output if artifact else None
    if isinstance(named, Folder):
        say(f"model in {export_model(store.open_folder(named), folder)}")
        return
    if named and artifact:
        pairs = store.read(_preferences(named, artifact))
    else:
        pairs = store.read_all(_learned(find_run(store, run) if run else last_run(store)))
    path = export_preferences(pairs, folder, format, as_text=text)
    say(f"{pairs.height} pairs in {path}; datasets.load_dataset({str(folder)!r}) reads it")
    looked_at = pairs.gather_every(math.ceil(pairs.height / LOOKED_AT))
    others = otherwise_written(looked_at, folders(store), as_text=text)
    if others:
        reasons = "; ".join(f"{count} {why}" for why, count in others.most_common())
        say(
            f"Of {2 * looked_at.height} responses {others.total()} give other token ids than those "
            f"that were trained: {reasons}."
        )


def _learned(run: Run) -> Sequence[Artifact]:
    if run.preferences:
        return run.preferences
    raise StoreError(f"Run {run.name!r} has no pairs: its state is {run.state!r}. Run it again.")


def _preferences(output: Artifact, name: str) -> Artifact:
    if output.table == "preferences":
        return output
    raise StoreError(
        f"{name!r} is neither a table of preferences nor a model. `prefopt cache ls` shows what "
        "there is; the stage `pair` makes preferences, `train` models."
    )
