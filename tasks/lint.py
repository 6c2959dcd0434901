"""Lint stage: what is doubtful about pairs, before they are trained on."""

from pathlib import Path

import polars as pl

from prefopt_core.lint import Known, table
from prefopt_core.lint.findings import places_of
from prefopt_core.lint.settings import LintConfig
from prefopt_core.store.artifacts import Artifact, Folder
from tasks.session import current_store, doubts_before, notice, planning
from tasks.stage import inside_flow_run, stage


@stage("lint", table="findings", version=3)
def find(
    pairs: pl.DataFrame,
    config: LintConfig,
    *,
    policy: Path | None = None,
    held_out: pl.DataFrame | None = None,
    reported: bool = False,
) -> pl.DataFrame:
    """Look for what `config` names in pairs, by what is known of them."""
    control = table.control_names(policy) if policy else ()
    known = Known(held_out, control=control, reported=reported)
    return table.lint_pairs(pairs, config, known)


def lint_pairs(
    pairs: Artifact,
    config: LintConfig,
    *,
    flow: str,
    round_number: int,
    policy: Folder | None = None,
    held_out: Artifact | None = None,
    reported: bool = False,
) -> list[str]:
    """Say what is doubtful about pairs; in Prefect as a table, too.

    Args:
        pairs: Table `preferences`.
        config: What to look for, and what to refuse.
        flow: Name of the flow.
        round_number: Of the round that will train on them.
        policy: Whose tokenizer knows control tokens.
        held_out: Table `prompts` of the test.
        reported: Whether the labels of the gold pairs are in the report, and so are the habits of
            who gave them.

    Returns:
        The warnings that nobody gave before the run; none while planning.

    Raises:
        DataError: `config` refuses what was found.
    """
    found = find(pairs, config, policy=policy, held_out=held_out, reported=reported)
    if planning():
        return []
    findings = current_store().read(found)
    if findings.height and inside_flow_run():
        _show_in_prefect(findings, pairs, f"{flow}-lint-{round_number}")
    known = doubts_before() or ()  # a seed was looked at before the run
    warnings = [
        f"Round {round_number}: {warning}"
        for warning in table.warnings_of(findings, config)
        if not any(doubt.endswith(warning) for doubt in known)
    ]
    for warning in warnings:
        notice(warning)
    return warnings


def _show_in_prefect(findings: pl.DataFrame, pairs: Artifact, name: str) -> None:
    from prefect.artifacts import create_table_artifact

    rows = findings.with_columns(
        pl.col("rows").map_elements(lambda rows: places_of(rows.to_list()), pl.String)
    )
    create_table_artifact(
        rows.to_dicts(),
        key=name,
        description=f"What is doubtful about the pairs `prefopt show {pairs.digest[:12]}`",
    )
