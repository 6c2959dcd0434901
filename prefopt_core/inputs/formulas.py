"""Cells of CSV that a spreadsheet would compute: an apostrophe in front makes them text.

As OWASP advises against CSV injection. Reading takes off what writing put in front, so that a file
comes back as it was; plain numbers stay numbers.
"""

import re

FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")
"""How a cell begins that a spreadsheet computes."""
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.I)


def _is_formula(text: str) -> bool:
    plain = text.lstrip("'")  # of which one more is put in front of those that are there
    return bool(FORMULA.match(plain)) and not _NUMBER.fullmatch(plain)


def guarded(text: str) -> str:
    """A cell that every spreadsheet shows and none computes.

    >>> guarded("=1+1"), guarded("-1.5"), guarded("a-b"), guarded("'=1")
    ("'=1+1", '-1.5', 'a-b', "''=1")
    """
    return f"'{text}" if _is_formula(text) else text


def unguarded(cell: str) -> str:
    """The text of which `guarded` made a cell."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell
