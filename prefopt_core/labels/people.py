"""Names of the people who label: one spelling for each person."""

import unicodedata
from collections.abc import Iterable


def person_named(name: str) -> str:
    r"""A name as it is kept: keyboards and systems compose its letters differently (NFC).

    >>> person_named(" Zoe\u0308  Roe ") == "Zo\u00eb Roe"
    True
    """
    return unicodedata.normalize("NFC", " ".join(name.split()))


def alike(name: str, others: Iterable[str]) -> list[str]:
    """The other names that may be the same person's: but for capitals and widths they are equal.

    >>> alike("ada", ["Ada", "ada", "Ben"])
    ['Ada']
    """
    return sorted(other for other in others if other != name and _plain(other) == _plain(name))


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold()
