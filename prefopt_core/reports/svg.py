"""Matplotlib's figures as SVG whose colours are variables, so that they follow light and dark."""

import io
import re
from threading import Lock
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from prefopt_core.ground.foreign import visible
from prefopt_core.reports.page import Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#6e7781"
SERIES = ("#000000", BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of lines: Okabe and Ito's, for all kinds of eyes, without yellow, which paper swallows.

What is drawn with them has the shades of `templates/colours.css`.
"""
PAPER = "#ffffff"
_VARIABLES = {
    "#b0b0b0": "line",  # matplotlib's grid
    PAPER: "page",
    GREY: "quiet",
    **dict(zip(SERIES, ("text", "blue", "orange", "green", "purple", "amber", "sky"), strict=True)),
}
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_KEPT_IDS = {"path", "clipPath"}  # what is referred to; the others count artists
_LONG = re.compile(r"(\.\d)\d+")
_PLACES = {"d", "x", "y", "transform"}
_SPACE = re.compile(r"\{[^}]*\}")
_ONE_AT_A_TIME = Lock()  # matplotlib's settings belong to the whole process


def drawn(figure: "Figure", name: str, alt: str) -> Plot:
    """A figure as a plot, the same bytes for the same figure.

    It has no style sheet and no `style` attributes, which a strict content security policy
    refuses, and texts in the font of the page.

    Args:
        figure: What `new_figure` made.
        name: Of the plot; other plots of the page have other names.
        alt: What it shows, in words.
    """
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):  # names that users gave are neither formulas nor obeyed
        text.set_parse_math(False)
        text.set_text(visible(text.get_text()))
    file = io.BytesIO()
    with _ONE_AT_A_TIME, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(file.getvalue())
    _simplify(root)
    width, height = root.attrib["viewBox"].split()[2:]
    root.attrib = {
        "class": "plot", "viewBox": root.attrib["viewBox"], "role": "img", "aria-label": alt,
        "width": f"{float(width) / 0.75:.0f}", "height": f"{float(height) / 0.75:.0f}",
        "fill": "var(--text)", "stroke-linejoin": "round", "stroke-linecap": "butt",
    }  # fmt: skip
    return Plot(name, ElementTree.tostring(root, encoding="unicode"), alt)


def _simplify(element: ElementTree.Element) -> None:
    """Names without namespaces, attributes in place of styles, variables in place of colours.

    Also fewer bytes, of which Prefect takes 100 KB a page: tenths of a point, no bare groups.
    """
    element.tag = _SPACE.sub("", element.tag)
    own = {_SPACE.sub("", name): value for name, value in element.attrib.items()}
    if element.tag not in _KEPT_IDS:
        own.pop("id", None)
    for rule in filter(None, own.pop("style", "").split(";")):
        name, value = (part.strip() for part in rule.split(":", 1))
        own[name] = value
    element.attrib = {
        name: _COLOUR.sub(_variable, _shorter(value) if name in _PLACES else value)
        for name, value in own.items()
        if name != "font-family" and not value.startswith("rotate(-0 ")
    }
    if element.tag != "text":
        element.text = None
    element.tail = None
    for child in element:
        _simplify(child)
    element[:] = [each for child in element for each in _unpacked(child)]


def _shorter(numbers: str) -> str:
    return _LONG.sub(r"\1", " ".join(numbers.split()))


def _unpacked(element: ElementTree.Element) -> list[ElementTree.Element]:
    """What a bare group holds, nothing of what cannot be seen, else the element."""
    if element.tag == "g" and not element.attrib:
        return [*element]
    unseen = element.get("fill") == "none" and "stroke" not in element.attrib
    return [] if element.tag == "style" or unseen else [element]


def _variable(found: re.Match[str]) -> str:
    return f"var(--{_VARIABLES[found[0]]})"
