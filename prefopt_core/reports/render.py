"""Pages as HTML or Markdown, by the templates beside this module. Every text is escaped."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from prefopt_core.ground.foreign import visible
from prefopt_core.ground.templates import templates_of
from prefopt_core.reports.page import Page, Plot

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
    """One self-contained HTML file."""
    return _environment(_escape_html).get_template("page.html.jinja").render(page=page)


def render_markdown(page: Page) -> str:
    """Markdown for Prefect or for a document."""
    return _environment(_escape_markdown).get_template("page.md.jinja").render(page=page)


def plots_to_files(page: Page, folder: Path, prefix: str = "") -> Page:
    """Write the page's plots as .png into a folder.

    Args:
        page: Its plots are `data:` URLs; those within folds stay as they are.
        folder: An existing folder.
        prefix: What file names begin with, before the plot's own name.

    Returns:
        The page with its plots linked by the names of their files.
    """
    linked = []
    for part in page.parts:
        if isinstance(part, Plot):
            file = folder / f"{prefix}{part.name}.png"
            file.write_bytes(base64.b64decode(part.url.partition(",")[2]))
            part = replace(part, url=file.name)
        linked.append(part)
    return replace(page, parts=linked)


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


def _entity(found: re.Match[str]) -> str:
    return _NAMED.get(found[0]) or f"&#{ord(found[0])};"
