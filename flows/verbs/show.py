"""The verb `show`: what a run came to, a table, or the files of a model."""

from typing import Annotated

from cyclopts import Parameter

from flows.lookup import run_named
from flows.terminal import Terminal, say
from flows.verbs.options import Whole
from flows.verbs.runs import print_run
from prefopt_core.ground.errors import ConfigError
from prefopt_core.reports.values import shown
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.maintenance import find, names_in
from prefopt_core.store.runs import Run, runs
from prefopt_core.store.store import Store
from tasks.session import current_store


def show(
    artifact: Annotated[
        str,
        Parameter(
            help="a run or the start of its name, a table (its newest), or the start of a digest"
        ),
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
    if run := _run_meant(store, artifact):
        return print_run(run, console)
    found = find(store, artifact)[0]
    output = found.output
    if not isinstance(output, Artifact):
        files = [[file.name, f"{file.size:,}", file.sha256[:12]] for file in output.files]
        console.table(["file", "bytes", "sha256"], files, store.place(output))
        return None
    frame = store.scan(output).head(rows).collect()
    console.table(
        frame.columns,
        [[shown(*cell) for cell in row.items()] for row in frame.iter_rows(named=True)],
        f"{output.table} {output.digest[:12]}, by stage {found.stage}",
    )
    say(f"{frame.height} of {output.rows:,} rows")
    return None


def _run_meant(store: Store, name: str) -> Run | None:
    """The run of that name or start, unless it is the name of a table or stage."""
    names = [run.name for run in runs(store)]
    if name in names or (
        name not in names_in(store) and any(each.startswith(name) for each in names)
    ):
        return run_named(name)
    return None
