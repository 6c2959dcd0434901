"""What people see: questions as HTML. Texts of models are escaped, or rendered and cleaned."""

from functools import cache, lru_cache
from typing import Any

import nh3
from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

from prefopt_core.ground.templates import templates_of
from prefopt_core.labels.questions import Question

TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "em", "strong", "s", "ul", "ol", "li",
    "blockquote", "code", "pre", "table", "thead", "tbody", "tr", "th", "td",
}  # fmt: skip
"""All that rendered Markdown may hold, without any attribute."""


@lru_cache(maxsize=512)
def rendered(text: str) -> Markup:
    r"""Markdown as HTML in which nothing can run or be fetched.

    HTML in it is text; links and images stay as they were written, so that it can be seen where
    they lead.

    >>> rendered("*a* <b>c</b> [d](javascript:e)")
    Markup('<p><em>a</em> &lt;b&gt;c&lt;/b&gt; [d](javascript:e)</p>\n')
    """
    return Markup(nh3.clean(_markdown().render(text), tags=TAGS, attributes={}))


@cache
def _markdown() -> MarkdownIt:
    # Models mean a line where they end one.
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True})
    return markdown.enable(["table", "strikethrough"]).disable(["link", "image", "autolink"])


def form_of(question: Question) -> str:
    """What is asked: "score" one response, "compare" two, "rank" more."""
    return {1: "score", 2: "compare"}.get(len(question.responses), "rank")


def card(question: Question) -> str:
    """A question: the prompt's turns, and its responses without their writers."""
    *turns, last = question.prompt
    system = [turn for turn in turns if turn["role"] == "system"]
    return page(
        "question",
        form=form_of(question),
        system=system,
        earlier=[turn for turn in turns if turn["role"] != "system"],
        last=last,
        responses=[shown.text for shown in question.responses],
    )


def page(name: str, **values: Any) -> str:
    """A template of this package, filled."""
    return _environment().get_template(f"{name}.html.jinja").render(values)


@cache
def _environment() -> Environment:
    environment = templates_of("flows.desk")
    environment.filters["rendered"] = rendered
    return environment
