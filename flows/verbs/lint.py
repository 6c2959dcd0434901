"""The verb `lint`: look for what is wrong with preference pairs, of a file or of the store."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.console import print_parts
from flows.terminal import Terminal, say
from flows.verbs.options import Output
from prefopt_core.export.rows import require_output, write_rows
from prefopt_core.ground.errors import StoreError
from prefopt_core.inputs.prompts import from_file
from prefopt_core.lint import Known
from prefopt_core.lint.reading import Read, of_tables, read_pairs
from prefopt_core.lint.settings import REFUSED, LintConfig
from prefopt_core.lint.table import lint_pairs, rows_of
from prefopt_core.reports.lint import in_one_line, table_of_findings
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.maintenance import find
from prefopt_core.store.runs import last_run
from tasks.session import current_store

Names = Annotated[tuple[str, ...], Parameter(metavar="NAME")]


def lint(
    pairs: Annotated[
        str | None,
        Parameter(
            help=".csv, .json, .jsonl or .parquet; or a table's name or the start of its digest",
            show_default="all pairs that the last run learned from",
        ),
    ] = None,
    /,
    *,
    against: Annotated[
        Path | None, Parameter(help="a file of the prompts that the policy is tested on")
    ] = None,
    refuse: Annotated[
        Names, Parameter(help="exit with 1 on it, too; see `prefopt list lints`")
    ] = (),
    skip: Annotated[Names, Parameter(help="do not look for it")] = (),
    column: Annotated[
        str | None, Parameter(help="the column with prompts", show_default="prompt or instruction")
    ] = None,
    output: Output = None,
) -> int:
    """Print what is doubtful about preference pairs, and what to do; 1 if some of it is refused.

    Raises:
        StoreError: Nothing in the store has that name, or it is a table of something else.
    """
    if output:
        require_output(output, Path(pairs or "."))
    config = LintConfig(skip=skip, refuse=(*REFUSED, *refuse))
    read = _read(pairs, column)
    held_out = from_file(0, path=str(against), repeats="drop") if against else None
    known = Known(held_out, read.verdicts, malformed=read.malformed)
    findings = lint_pairs(read.pairs, config, known)
    if findings.height:
        print_parts([table_of_findings(findings, config, read.places)], Terminal())
    refused = sum(config.refuses(name) for name in findings["lint"])
    of = "" if pairs else f" of {last_run(current_store()).name}"
    say(in_one_line(findings, f"{read.looked_at}{of}", refused))
    if lacking := _lacking(config, known):
        say(f"A run knows more: {lacking}.")
    if output:
        rows = rows_of(findings, read)
        write_rows(rows, output)
        say(f"{rows.height} rows in {output}")
    return 1 if refused else 0


def _lacking(config: LintConfig, known: Known) -> str:
    """What is not looked for in these pairs, or not as in a run, and why."""
    why = []
    if known.held_out is None and "leaked_prompt" in config.names:
        why.append("leaked_prompt needs the prompts of the test, by `--against FILE`")
    if "control_tokens" in config.names:
        why.append("control_tokens are the usual ones here, there those of the policy, too")
    return "; ".join(why)


def _read(name: str | None, column: str | None) -> Read:
    store = current_store()
    if name is None:
        return of_tables(store.read_all(last_run(store).preferences))
    if Path(name).suffix or Path(name).exists():
        return read_pairs(Path(name), column)
    output = find(store, name)[0].output
    match output:
        case Artifact(table="preferences"):
            return of_tables(store.read(output))
        case Artifact(table="verdicts"):
            return of_tables(verdicts=store.read(output))
    raise StoreError(
        f"{name!r} is no table of preferences or verdicts. `prefopt cache ls` shows what there is; "
        "the stage `pair` makes preferences."
    )
