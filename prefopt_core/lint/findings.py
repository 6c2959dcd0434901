"""Findings: what a lint says of some pairs, and in which words."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from prefopt_core.ground.tables import TABLES

_NAMED = 3
"""Rows that a sentence names."""
BIASED = 0.65
"""Share of one annotator's choices for a side, or a length, above which to warn."""


@dataclass(frozen=True)
class Known:
    """What a lint may look at besides the pairs.

    Attributes:
        held_out: Table `prompts` of those that the policy is tested on; None if there are none.
        verdicts: Table `verdicts`, where that is looked at; None: pairs alone are.
        control: Names of the control tokens of the policy's tokenizer; empty if unknown.
        malformed: Row of the file → why it is no pair; these are not among the pairs.
        reported: Whether the habits of who labelled the gold pairs are reported with their labels,
            by `labels/honesty.py`.
    """

    held_out: pl.DataFrame | None = None
    verdicts: pl.DataFrame | None = None
    control: Collection[str] = ()
    malformed: Sequence[tuple[int, str]] = ()
    reported: bool = False


@dataclass(frozen=True)
class Finding:
    """What one lint says.

    Attributes:
        said: What is so, with its count: "3 of 40 pairs have the same text twice".
        advice: What to do, a sentence.
        count: How many it is so of.
        of: How many there are.
        rows: Rows it is about, of the file or table, from 0; empty if it is about the whole.
    """

    said: str
    advice: str
    count: int
    of: int
    rows: tuple[int, ...] = ()


def of_rows(pairs: pl.DataFrame, which: pl.Expr, said: str, advice: str) -> Iterable[Finding]:
    """The finding about the pairs of which `which` is true; none if there are none.

    Args:
        pairs: As `texts.texts_of` makes them.
        which: (n,) Boolean.
        said: What follows "3 of 40 pairs".
        advice: What to do.
    """
    rows = pairs.filter(which)["row"].to_list()
    if rows:
        yield Finding(counted(rows, pairs.height, said), advice, len(rows), pairs.height, (*rows,))


def counted(rows: Sequence[int], of: int, said: str) -> str:
    """A sentence on some of the pairs, without its end.

    >>> counted([4], 40, "are empty")
    '1 of 40 pairs are empty'
    """
    return f"{len(rows)} of {of} pairs {said}"


def as_table(found: Iterable[tuple[str, Finding]]) -> pl.DataFrame:
    """Table `findings` of (name of the lint, finding)."""
    rows = [(lint, f.said, f.advice, f.count, f.of, list(f.rows)) for lint, f in found]
    return pl.DataFrame(rows, schema=TABLES["findings"].columns, orient="row")


def in_words(row: dict[str, Any], places: Sequence[str] | None = None) -> str:
    """A row of table `findings` as sentences, with the first of its rows.

    Args:
        row: By column.
        places: What each row is called; None: "row 1", "row 2", ….
    """
    where = places_of(row["rows"], places)
    return f"{row['said']}{f' ({where})' if where else ''}. {row['advice']}"


def places_of(rows: Sequence[int], places: Sequence[str] | None = None) -> str:
    """The first of some rows.

    Args:
        rows: Numbers, from 0.
        places: What each row is called, in two words; None: "row 1", "row 2", ….

    >>> places_of([0, 4, 6, 7, 9]), places_of([1], ["line 1", "line 3"])
    ('rows 1, 5, 7 and 2 more', 'line 3')
    """
    if not rows:
        return ""
    named = [places[row] if places else f"row {row + 1}" for row in rows[:_NAMED]]
    kind, _, _ = named[0].partition(" ")
    numbers = ", ".join(name.removeprefix(f"{kind} ") for name in named)
    more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
    return f"{kind}{'s' * (len(rows) > 1)} {numbers}{more}"
