"""Lint, table in, table out: preference pairs to findings."""

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import DataError
from prefopt_core.inputs.pairs import SIDES
from prefopt_core.lint import LINTS, Known
from prefopt_core.lint.findings import as_table, in_words, places_of
from prefopt_core.lint.reading import Read
from prefopt_core.lint.settings import LintConfig
from prefopt_core.lint.texts import texts_of


def lint_pairs(preferences: pl.DataFrame, config: LintConfig, known: Known) -> pl.DataFrame:
    """Look for everything that is doubtful about pairs.

    Args:
        preferences: Table `preferences`; its rows have numbers of their own if it has `row`.
        config: What to look for.
        known: What else is known about them.

    Returns:
        Table `findings`, by lint, in the order of `config.names`.
    """
    pairs = texts_of(preferences)
    return as_table(
        (name, finding) for name in config.names for finding in LINTS[name](pairs, known)
    )


def control_names(policy: Path) -> Collection[str]:
    """Names of the control tokens of a policy's tokenizer, of a model or adapter folder."""
    from prefopt_core.models.literal import control_tokens
    from prefopt_core.models.tokens import load_tokenizer

    return tuple(control_tokens(load_tokenizer(policy)))


def warnings_of(
    findings: pl.DataFrame, config: LintConfig, places: Sequence[str] | None = None
) -> list[str]:
    """What is found, a sentence or two each.

    Raises:
        DataError: `config` refuses some of it; all that it does, a line each.
    """
    found = list(findings.iter_rows(named=True))
    refused = [
        f"{in_words(row, places)} (`lint.refuse` has {row['lint']!r}.)"
        for row in found
        if config.refuses(row["lint"])
    ]
    if refused:
        raise DataError("\n".join(refused))
    return [in_words(row, places) for row in found]


def rows_of(findings: pl.DataFrame, read: Read) -> pl.DataFrame:
    """One row for each finding and pair that it is about.

    Args:
        findings: What `lint_pairs` found in `read.pairs`.
        read: The pairs, and what stands in rows that are none.

    Returns:
        Columns lint, where, found, advice, prompt, chosen and rejected; these three are texts.
    """
    texts = texts_of(read.pairs).select("row", pl.col("whole").alias("prompt"), *SIDES)
    texts = pl.concat([texts, read.remains])
    rows = findings.select("lint", "said", "advice", row="rows").explode("row").drop_nulls("row")
    where = [places_of([row], read.places) for row in rows["row"]]
    return (
        rows.with_columns(pl.Series("where", where, pl.String))
        .join(texts, "row", how="left", maintain_order="left")
        .select("lint", "where", pl.col("said").alias("found"), "advice", "prompt", *SIDES)
    )
