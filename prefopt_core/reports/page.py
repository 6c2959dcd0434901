"""What a page says, before it is HTML or Markdown: parts and cells that hold plain texts.

No text in here is markup; `render.py` escapes them all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

WITHIN = re.compile(r"(?<=\d) (?=%)|(?<=,) (?=[-+\d.]+\])")
"""Blanks within a figure such as `54 %` or `[44, 64]`, which are no places to break a line."""


@dataclass(frozen=True)
class Strong:
    """A cell that stands out among others of its column."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Estimate:
    """A cell with a figure and its interval: `54 %` and `[44, 64]`."""

    value: str
    interval: str

    def __str__(self) -> str:
        return f"{self.value} {self.interval}"


Cell = str | Strong | Estimate
"""`str(cell)` is what it says on a terminal."""


@dataclass(frozen=True)
class Facts:
    """What a page is about: a name and a text each."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    """What it all came to, in one sentence."""

    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; what stands between backticks in it is a setting, as in a `Notice`."""

    text: str


@dataclass(frozen=True)
class Notice:
    """A paragraph that asks for attention; what stands between backticks in it is a setting."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines that are shown as they are."""

    text: str


@dataclass(frozen=True)
class Heading:
    """The title of what follows."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table; every row has as many cells as the header."""

    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Plot:
    """A plot.

    Attributes:
        name: What its file is called, without ending, where it gets one.
        svg: An `<svg>` element, as `svg.drawn` makes it.
        alt: What it shows, in words.
        file: The name of the file that holds it, if it has one.
    """

    name: str
    svg: str
    alt: str
    file: str = ""


@dataclass(frozen=True)
class Plots:
    """Plots beside each other, or below where there is no room; and how to read them."""

    plots: Sequence[Plot]
    caption: str = ""


@dataclass(frozen=True)
class Said:
    """A response: by whom, how it fared, what it says."""

    by: str
    text: str
    better: bool | None = None


@dataclass(frozen=True)
class SideBySide:
    """Two responses to a prompt.

    Attributes:
        note: How they compare, in a few words.
        prompt: What they answer.
        one: The left one.
        other: The right one.
    """

    note: str
    prompt: str
    one: Said
    other: Said


@dataclass(frozen=True)
class Fold:
    """Parts under a title, which a reader can fold away.

    Attributes:
        title: Its one line.
        parts: What it holds.
        unfolded: Whether they show when the page is opened.
    """

    title: str
    parts: Sequence["Part"]
    unfolded: bool = False


Part = Facts | Verdict | Text | Notice | Code | Heading | Table | Plots | SideBySide | Fold


@dataclass(frozen=True)
class Page:
    """A title, and parts from top to bottom."""

    title: str
    parts: Sequence[Part]
