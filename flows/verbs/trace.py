"""The verb `trace`: where an exported pair comes from."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.terminal import Terminal
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.export.preferences import pair_id_in
from prefopt_core.ground.errors import ConfigError
from prefopt_core.reports.origins import origins
from prefopt_core.reports.trace import Found, Step, find_pair, flat, trace
from prefopt_core.store.lineage import Lineage
from prefopt_core.store.runs import runs
from tasks.session import current_store

_ROW = re.compile(r"(.+):(\d+)")
_ID = re.compile(r"[0-9a-f]{6,24}")


def trace_pair(
    row: Annotated[
        str, Parameter(help="pair_id, or FILE:NUMBER of an exported file, whose first row is 0")
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
    found = find_pair(lineage, pair_id, first)
    for step in [*trace(lineage, found), *_runs(lineage, found)]:
        console.tell(step.title)
        for name, text in step.lines:
            console.tell(f"  {name:<13} {text}")


def _runs(lineage: Lineage, found: Found) -> Iterator[Step]:
    """The runs that learned from it, and kept what they had learned."""
    for run in runs(lineage.store):
        tables = {origin.pairs.output.digest for origin in origins(lineage, run.preferences)}
        if found.origin.pairs.output.digest in tables:
            lines = [("command", run.command)] if run.command else []
            prompts = read_yaml(run.config, run.name)["prompts"] if run.config else {}
            source = ", ".join(f"{n} {v}" for n, v in flat(prompts) if v is not None)
            lines += [("prompts", source)] if source else []
            page = lineage.store.page(f"{run.name}/report.html")
            yield Step(f"run {run.name}, flow {run.flow}", [*lines, ("report", str(page))])
