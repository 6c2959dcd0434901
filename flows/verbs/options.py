"""Options that several verbs take."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token


def _whole(kind: object, tokens: Sequence[Token]) -> int:
    text = tokens[0].value
    try:
        return int(text)  # Cyclopts itself would round 2.5 and accept 0x10
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number.") from None


Whole = Annotated[int, Parameter(converter=_whole)]
"""A whole number, in digits."""

Quiet = Annotated[bool, Parameter(help="print errors and the result only")]
NoServer = Annotated[bool, Parameter(help="run without Prefect")]
Seed = Annotated[Whole, Parameter(help="root of every random choice")]
Output = Annotated[Path | None, Parameter(help="write .csv, .jsonl or .parquet")]
