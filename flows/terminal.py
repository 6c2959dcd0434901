r"""The one place that prints. What is printed may come from models, files and servers: it is text.

No markup is read, and what a terminal would obey is shown as an escape such as `\x1b`. Colours and
tables are made here; ruff refuses `print` and rich elsewhere.
"""

import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from prefopt_core.ground.foreign import visible

_READABLE = 20
"""Characters of a column in which a longer text can be read; of a shorter one, its longest word."""

Cell = str | tuple[str, Literal["", "green", "blue", "yellow", "red"]]
"""A text, or (text, its colour)."""


def say(*lines: object, error: bool = False) -> None:
    """Print lines as they are, to be read by people or by programs.

    Args:
        lines: Each is printed by its `str`.
        error: To stderr.
    """
    stream = sys.stderr if error else sys.stdout
    for line in lines:
        print(visible(str(line)), file=stream)
    stream.flush()


class Terminal(Console):
    """A console of rich's to which every text is text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text as it is, whoever asks rich to read it as something else."""
        return super().render_str(visible(text), **options | {"markup": False, "emoji": False})

    def tell(self, *parts: Cell) -> None:
        """Print a line, of one part or several; the terminal breaks it where it has to."""
        self.print(joined(*parts), soft_wrap=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[Cell]], title: str = "") -> None:
        """Print a table; where its columns would be too narrow to read: each row as a list.

        Args:
            header: Names of the columns.
            rows: With as many cells.
            title: What the table is; "" for none.
        """
        names = [joined(name) for name in header]
        cells = [[joined(cell) for cell in row] for row in rows]
        if title:
            self.tell(title)
        columns = [*zip(names, *cells, strict=True)]
        if widths := self._widths(columns):
            table = Table()
            for name, width in zip(names, widths, strict=True):
                table.add_column(name, overflow="fold", width=width)  # no figure is cut off
            for row in cells:
                table.add_row(*row)
            self.print(table)
            return
        for number, row in enumerate(cells, 1):
            self.print(Rule(str(number), align="left", style="none"))
            self.print(_list_of(names, row))

    def _widths(self, columns: Sequence[Sequence[Text]]) -> list[int]:
        """Characters of each column, so that all of it can be read; [] if there are too few."""
        least = [max(map(_least, column)) for column in columns]
        more = [
            max(cell.cell_len for cell in column) - own
            for column, own in zip(columns, least, strict=True)
        ]
        spare = self.width - sum(least) - 3 * len(columns) - 1
        if spare < 0:
            return []
        share = min(1.0, spare / max(1, sum(more)))
        return [own + int(share * extra) for own, extra in zip(least, more, strict=True)]


def _least(cell: Text) -> int:
    """Characters that a column needs for a cell to be readable."""
    if cell.cell_len > _READABLE:
        return _READABLE
    return max((Text(word).cell_len for word in cell.plain.split()), default=0)


def _list_of(names: Iterable[Text], row: Iterable[Text]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for name, value in zip(names, row, strict=True):
        if value:
            grid.add_row(name, value)
    return grid


def joined(*parts: Cell) -> Text:
    """Text for rich, of parts that are plain or (plain, colour)."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((visible(text), style) for text, style in pairs))


def lasting(seconds: float) -> str:
    """A duration in words.

    >>> lasting(0.2), lasting(80), lasting(5400)
    ('1 s', '80 s', '1.5 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5000 else f"{seconds / 3600:,.1f} h"
