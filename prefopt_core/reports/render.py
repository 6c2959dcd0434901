"""Pages as HTML or Markdown, by the templates beside this module. Every text is escaped."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from prefopt_core.ground.foreign import visible
from prefopt_core.ground.templates import templates_of
from prefopt_core.reports.page import WITHIN, Page, Plot, Plots

_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_MARKUP = re.compile(
    r"[&<>|`\\*~#]"
    r"|\](?=[(\[:])"  # of a link
    r"|(?<!\w)_|_(?!\w)"
    r"|(?<=\bhttp):(?=//)|(?<=\bhttps):(?=//)|(?<=\bftp):(?=//)|(?<=\bwww)\.|(?<=\w)@(?=\w)"
)
"""What would end a table's cell or begin HTML, code, emphasis, a heading or a link; also addresses.

Becomes entities: a backslash would need another rule for each place that a text can stand in.
"""


def render_html(page: Page) -> str:
    """One self-contained HTML file, which forbids the browser to load or run anything."""
    environment = _environment(_escape_html)
    style = environment.get_template("page.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.jinja").render(
        page=page, style=Markup(style), digest=digest
    )


def render_markdown(page: Page) -> str:
    """Markdown for Prefect or for a document."""
    return _environment(_escape_markdown).get_template("page.md.jinja").render(page=page)


def plots_to_files(page: Page, folder: Path, prefix: str = "") -> Page:
    """Write the page's plots as .svg into a folder.

    Args:
        page: Its plots within folds stay as they are.
        folder: An existing folder.
        prefix: What file names begin with, before the plot's own name.

    Returns:
        The page with its plots linked by the names of their files.
    """

    def written(plot: Plot) -> Plot:
        file = folder / f"{prefix}{plot.name}.svg"
        file.write_text(alone(plot), encoding="utf-8")
        return replace(plot, file=file.name)

    parts = [
        replace(part, plots=[*map(written, part.plots)]) if isinstance(part, Plots) else part
        for part in page.parts
    ]
    return replace(page, parts=parts)


def alone(plot: Plot) -> str:
    """The SVG of a plot that stands on no page of ours, with its colours and its font."""
    colours = _environment(_escape_html).get_template("colours.css").render()
    start, _, rest = plot.svg.partition(">")
    named = start.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return f'{named} font-family="sans-serif"><style>{colours}</style>{rest}'


def _url(plot: Plot) -> str:
    """Where an image finds the plot: its file, or the plot itself."""
    encoded = base64.b64encode(alone(plot).encode()).decode()
    return plot.file or f"data:image/svg+xml;base64,{encoded}"


@cache
def _environment(finalize: Callable[[object], object]) -> Environment:
    """The templates of this package.

    Args:
        finalize: Makes every text fit for a format before it is escaped as HTML, which leaves what
            is `Markup` already as it is.
    """
    environment = templates_of(
        "prefopt_core.reports", finalize=finalize, keep_trailing_newline=True
    )
    environment.filters["inline"] = lambda plot: Markup(plot.svg)
    environment.filters["url"] = _url
    environment.filters["unbroken"] = lambda text: WITHIN.sub("\u00a0", text)
    environment.filters["fenced"] = _fenced
    environment.filters["kind"] = lambda thing: type(thing).__name__
    return environment


def _escape_html(value: object) -> object:
    return value if isinstance(value, Markup) else visible(str(value))


def _escape_markdown(value: object) -> Markup:
    """A text on one line in which nothing is markup.

    >>> str(_escape_markdown("a|b <i> [c](d)"))
    'a&#124;b &lt;i&gt; [c&#93;(d)'
    """
    if isinstance(value, Markup):  # what a macro of the template made of escaped texts
        return value
    line = visible(re.sub(r"\s+", " ", str(value)))
    return Markup(_MARKUP.sub(_entity, line))


def _fenced(text: str) -> Markup:
    """A block of code in Markdown, which nothing within can end.

    >>> print(_fenced("name: 'one'"))
    ```
    name: 'one'
    ```
    """
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markup(f"{fence}\n{visible(text).strip()}\n{fence}")


def _entity(found: re.Match[str]) -> str:
    return _NAMED.get(found[0]) or f"&#{ord(found[0])};"
