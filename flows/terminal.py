r"""The one place that prints. What is printed may come from models, files and servers: it is text.

No markup is read, and what a terminal would obey is shown as an escape such as `\x1b`. Colours and
tables are made here; ruff refuses `print` and rich elsewhere.
"""

import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.box import HEAVY_HEAD, SIMPLE_HEAD, Box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from prefopt_core.ground.foreign import visible
from prefopt_core.reports.page import WITHIN

_READABLE = 20
"""Characters of a column in which a longer text can be read; of a shorter one, its longest word."""
_SHORT = 24
"""Characters of a cell that may stand beside others in a line, where each row is a list."""


class _Form(NamedTuple):
    """How a table is drawn.

    Attributes:
        box: Its lines; None: it has none.
        padding: Above, right, below and left of a cell.
        between: Characters of a column beside its text.
        around: Characters of a line beside all columns.
    """

    box: Box | None
    padding: tuple[int, int, int, int]
    between: int
    around: int


_FRAMED = _Form(HEAVY_HEAD, (0, 1, 0, 1), 3, 1)
_BARE = _Form(SIMPLE_HEAD, (0, 1, 0, 0), 2, -2)
"""Where there is no room for a frame."""
_TIGHT = _Form(None, (0, 1, 0, 0), 1, -1)
"""Where there is none for more than a blank between columns."""

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


def called() -> str:
    """What to type for prefopt: its path if it is not on the PATH, as after `make quickstart`."""
    typed = Path(sys.argv[0])
    on_path = shutil.which("prefopt")
    if typed.name != "prefopt" or not typed.exists() or (on_path and typed.samefile(on_path)):
        return "prefopt"
    return shlex.quote(from_here(typed))


def from_here(path: Path | str) -> str:
    """A path as one would type it in this folder; an address as it is."""
    whole, here = Path(path).absolute(), Path.cwd()
    if "://" in str(path) or not whole.is_relative_to(here):
        return str(path)
    return str(whole.relative_to(here))


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

    def paragraph(self, text: str) -> None:
        """Print a text in lines, none of which ends within a figure."""
        self.tell(_broken(visible(text), self.width))

    def warn(self, text: str) -> None:
        """Print something doubtful; on a terminal in lines of its width, else as one."""
        line = f"! {visible(text)}"
        if self.is_terminal:
            wrapped = _broken(line, self.width - 2)
            line = "\n  ".join(wrapped.split("\n"))
        self.tell(line)

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
        for form in (_FRAMED, _BARE, _TIGHT):
            if widths := self._widths(columns, form):
                framed = form is _FRAMED
                table = Table(box=form.box, padding=form.padding, pad_edge=framed, show_edge=framed)
                for name, width in zip(names, widths, strict=True):
                    table.add_column(name, overflow="fold", width=width)  # no figure is cut off
                for row in cells:
                    table.add_row(*map(_whole_figures, row, widths))
                self.print(table)
                return
        for number, row in enumerate(cells, 1):
            self.print(Rule(str(number), align="left", style="none"))
            self._list([*zip(names, row, strict=True)])

    def _list(self, row: Sequence[tuple[Text, Text]]) -> None:
        """Print the long cells of a row one below the other, then the short ones side by side."""
        long = [(name, cell) for name, cell in row if cell.cell_len > _SHORT]
        if long:
            self.print(_grid_of(long))
        short = (f"{name} {cell}".strip() for name, cell in row if 0 < cell.cell_len <= _SHORT)
        if line := " · ".join(each.replace(" ", _UNBROKEN) for each in short):
            self.print(_broken(line, self.width))

    def _widths(self, columns: Sequence[Sequence[Text]], form: "_Form") -> list[int]:
        """Characters of each column, so that all of it can be read; [] if there are too few."""
        least = [max(map(_least, column)) for column in columns]
        more = [
            max(cell.cell_len for cell in column) - own
            for column, own in zip(columns, least, strict=True)
        ]
        spare = self.width - sum(least) - form.between * len(columns) - form.around
        if spare < 0:
            return []
        share = min(1.0, spare / max(1, sum(more)))
        return [own + int(share * extra) for own, extra in zip(least, more, strict=True)]


def _least(cell: Text) -> int:
    """Characters that a column needs for a cell to be readable."""
    if cell.cell_len > _READABLE and not WITHIN.search(cell.plain):
        return _READABLE
    words = WITHIN.sub(_UNBROKEN, cell.plain).split()
    return min(_READABLE, max((Text(_blanks(word)).cell_len for word in words), default=0))


_UNBROKEN = "\0"
"""Stands for a blank while lines are broken: no text that is `visible` has it."""


def _blanks(text: str) -> str:
    return text.replace(_UNBROKEN, " ")


def _broken(text: str, width: int) -> str:
    """A text with its lines broken between words and figures; longer words stay whole."""
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    lines = WITHIN.sub(_UNBROKEN, text).split("\n")
    return _blanks("\n".join("\n".join(wrapper.wrap(line)) for line in lines))


def _whole_figures(cell: Text, width: int) -> Text:
    if not WITHIN.search(cell.plain):
        return cell
    return Text(_broken(cell.plain, width), cell.style)


def _grid_of(row: Iterable[tuple[Text, Text]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for name, value in row:
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
