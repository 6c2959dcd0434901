"""Text that somebody else wrote: a model, a user, a server, a file."""

import re

_OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and newline: colours, bells, titles
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the order in which a line is read
    "\u2028\u2029"  # line breaks that are no newlines
    "\ud800-\udfff"  # halves of characters, which no file or terminal can take
    "\U000e0000-\U000e001f]"  # tags, which are invisible
)


def visible(text: str) -> str:
    r"""A text with what a terminal or browser would obey instead of showing it as escapes.

    Tabs and newlines stay. To do it twice changes nothing.

    >>> visible("\x1b[31mred\a \u202egpj.exe")
    '\\x1b[31mred\\x07 \\u202egpj.exe'
    """
    return _OBEYED.sub(_escape, text.replace("\r\n", "\n"))


def cut(text: str, length: int) -> str:
    """A text of at most `length` characters, the last of them "…" where it went on.

    >>> cut("How do I reset my password?", 12)
    'How do I re…'
    """
    return text if len(text) <= length else text[: length - 1] + "…"


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
