"""The texts of pairs, as lints see them."""

import polars as pl

from prefopt_core.ground.ids import last_content

_BETWEEN = r"[\s.,;:!?'\"’‘“”…]+"
"""What two texts may differ in and still be the same. Not hyphens: -5 is another number than 5."""


def texts_of(preferences: pl.DataFrame) -> pl.DataFrame:
    """One row a pair: its texts, and the same without case, white space and punctuation.

    Args:
        preferences: Table `preferences`; `row`, if it is not its own order, is kept.

    Returns:
        The columns of `preferences`, with `prompt` (its messages but the system's, a text), `asked`
        (its last message), `whole` (all of it), `chosen` and `rejected` as texts, and of those
        `prompt_bare`, `chosen_bare` and `rejected_bare`.
    """
    if "row" not in preferences.columns:
        preferences = preferences.with_row_index("row")
    return preferences.with_columns(
        row=pl.col("row").cast(pl.Int64),
        whole=conversation("prompt", system=True),
        prompt=conversation("prompt"),
        asked=last_content("prompt"),
        chosen=last_content("chosen"),
        rejected=last_content("rejected"),
    ).with_columns(bare(side).alias(f"{side}_bare") for side in ("prompt", "chosen", "rejected"))


def conversation(column: str, *, system: bool = False) -> pl.Expr:
    """The messages of a column as one text each, with or without those of the system."""
    message = pl.element()
    kept = message if system else message.filter(message.struct.field("role") != "system")
    return pl.col(column).list.eval(kept.struct.field("content")).list.join("\n\n")


def bare(column: str) -> pl.Expr:
    """Texts in lower case, with one space for all white space and punctuation between words."""
    return pl.col(column).str.to_lowercase().str.replace_all(_BETWEEN, " ").str.strip_chars()


def responses_of(pairs: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """All distinct responses of pairs, one a row.

    Args:
        pairs: As `texts_of` makes them.
        columns: Others of their columns to take along, named without `chosen_` or `rejected_`.

    Returns:
        Columns row (of the first pair that has it), side, prompt_id, asked, text, `columns`.
    """
    sides = [
        pairs.select(
            "row",
            pl.lit(side).alias("side"),
            "prompt_id",
            "asked",
            pl.col(side).alias("text"),
            *(pl.col(f"{side}_{name}").alias(name) for name in columns),
        )
        for side in ("chosen", "rejected")
    ]
    return pl.concat(sides).unique(["prompt_id", "text"], keep="first", maintain_order=True)
