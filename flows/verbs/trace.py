"""The verb `trace`: where an exported pair comes from."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import Terminal, from_here
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.export.held_out import held_out_pairs, measured_by
from prefopt_core.export.preferences import as_exported, pair_id_in
from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.reports.origins import origins
from prefopt_core.reports.trace import Found, Step, find_pair, flat, trace, trace_held_out
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.runs import Run, runs
from tasks.session import current_store

_ROW = re.compile(r"(.+):(\d+)")
_ID = re.compile(r"[0-9a-f]{6,24}")


def trace_pair(
    row: Annotated[
        str, Parameter(help="pair_id, or FILE:NUMBER of an exported file, whose first row is 1")
    ],
    /,
) -> None:
    """Print where a pair comes from: verdict, question, selection, generation, prompt, run.

    Raises:
        ConfigError: It is neither an id nor a row of a file.
        DataError: The file cannot be read, or is no export.
        StoreError: The pair, or a table on the way to it, is not in the store.
    """
    in_file = _ROW.fullmatch(row)
    if not in_file and not _ID.fullmatch(row):
        raise ConfigError(
            f"{row!r} is no row: write a `pair_id` (at least 6 of its digits), or a file that "
            "`prefopt export` wrote and a number, as out/train.parquet:17."
        )
    pair_id = pair_id_in(Path(in_file[1]), int(in_file[2])) if in_file else row
    lineage, console = Lineage(current_store()), Terminal()
    first = [table for run in runs(lineage.store) for table in run.preferences]
    try:
        found = find_pair(lineage, pair_id, first)
    except StoreError:
        if not (steps := _held_out(lineage, pair_id)):
            raise
    else:
        steps = [*trace(lineage, found), *_runs(lineage, found)]
    for step in steps:
        console.tell(step.title)
        for name, text in step.lines:
            console.tell(f"  {name:<13} {text}")


def _held_out(lineage: Lineage, pair_id: str) -> list[Step]:
    """The way back from a pair of the split `test` of the newest run that has it; else nothing."""
    for run in runs(lineage.store):
        with suppress(StoreError):  # of this run a table is gone; another may have the pair
            pairs = held_out_pairs(lineage, run)
            for row in as_exported(pairs).iter_rows(named=True) if pairs is not None else ():
                if row["pair_id"].startswith(pair_id):
                    way = trace_held_out(lineage, row, measured_by(lineage, run))
                    return [*way, _run(lineage, run)]
    return []


def _runs(lineage: Lineage, found: Found) -> Iterator[Step]:
    """The runs that learned from it, and kept what they had learned."""
    for run in runs(lineage.store):
        tables = {origin.pairs.output.digest for origin in origins(lineage, run.preferences)}
        if found.origin.pairs.output.digest in tables:
            yield _run(lineage, run)


def _run(lineage: Lineage, run: Run) -> Step:
    lines = [("command", run.command)] if run.command else []
    prompts = read_yaml(run.config, run.name)["prompts"] if run.config else {}
    source = ", ".join(f"{n} {v}" for n, v in flat(prompts) if v is not None)
    lines += [("prompts", source)] if source else []
    page = lineage.store.page(f"{run.name}/report.html")
    return Step(f"run {run.name}, flow {run.flow}", [*lines, ("report", from_here(page))])
