"""What the benchmarks print: sections and tables in Markdown, and what the figures depend on."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def say(text: str, file: Path | None = None) -> None:
    """Print at once, and append to the file, too, if there is one."""
    print(text, flush=True)
    if file:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{text}\n")


def section(title: str, body: str, file: Path | None = None) -> None:
    """Say a heading and what stands under it."""
    say(f"\n## {title}\n\n{body}", file)


def progress(text: str) -> None:
    """Tell who waits how far it is, outside of what is printed."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, figures: bool = False) -> str:
    """A table in Markdown; `figures` aligns all columns but the first to the right.

    >>> print(table(["", "seconds"], [["ours", "1.5"]], figures=True))
    |  | seconds |
    | --- | --: |
    | ours | 1.5 |
    """
    return "\n".join([head(header, figures=figures), *map(line, rows)])


def head(header: Sequence[str], *, figures: bool = False) -> str:
    """The first two lines of a table whose others are said as they are found."""
    others = "--:" if figures else "---"
    return f"{line(header)}\n{line(['---', *[others] * (len(header) - 1)])}"


def line(cells: Sequence[str]) -> str:
    """One line of a table."""
    return f"| {' | '.join(cells)} |"


def duration(seconds: float) -> str:
    """Three digits and a unit.

    >>> duration(0.0123), duration(4.5e-6), duration(320)
    ('12.3 ms', '4.5 µs', '320 s')
    """
    for size, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def interval(mean: float, low: float, high: float, form: str = ".2f") -> str:
    """A figure with its interval.

    >>> interval(0.123, 0.1, 0.14), interval(0.123, 0.1, 0.14, "+.1f")
    ('0.12 [0.10, 0.14]', '+0.1 [+0.1, +0.1]')
    """
    return f"{mean:{form}} [{low:{form}}, {high:{form}}]"


def cores() -> str:
    """Of the machine."""
    return f"{os.cpu_count()} cores"


def load() -> str:
    """How busy the machine was in the last minute."""
    return f"load average {os.getloadavg()[0]:.1f}"


def ending(seconds: float) -> str:
    """The last line of a report."""
    return f"\n{seconds:.0f} s in all; {load()} at the end."
