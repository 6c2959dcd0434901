"""Findings of lint as a table and in one line."""

from collections.abc import Sequence

import polars as pl

from prefopt_core.labels.estimates import percent
from prefopt_core.lint.findings import in_words
from prefopt_core.lint.settings import LintConfig
from prefopt_core.reports.page import Cell, Strong, Table


def table_of_findings(
    findings: pl.DataFrame, config: LintConfig, places: Sequence[str] | None = None
) -> Table:
    """Table `findings` for people, what is refused first.

    Args:
        findings: As `lint.table.lint_pairs` gives it.
        config: What is refused.
        places: What each row of the pairs is called; None: "row 1", "row 2", ….
    """
    rows: list[tuple[bool, list[Cell]]] = []
    for row in findings.iter_rows(named=True):
        refused = config.refuses(row["lint"])
        name = Strong(f"{row['lint']} (refused)") if refused else row["lint"]
        share = percent(row["count"] / row["of"], digits=1)
        rows.append((refused, [name, share, in_words(row, places)]))
    ordered = sorted(rows, key=lambda row: not row[0])
    return Table(["lint", "share", "found, and what to do"], [cells for _, cells in ordered])


def in_one_line(findings: pl.DataFrame, looked_at: str, refused: int) -> str:
    """What was looked at, and how many findings there are.

    >>> from prefopt_core.ground.tables import empty
    >>> in_one_line(empty("findings"), "1,000 pairs", 0)
    '1,000 pairs, 0 findings'
    """
    plural = "" if findings.height == 1 else "s"
    said = f"{looked_at}, {findings.height} finding{plural}"
    return f"{said}, {refused} of them refused" if refused else said
