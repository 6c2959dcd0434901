"""A page in a real browser: it fits a phone, reads in light and dark, and asks for nothing."""

import re

import polars as pl
import pytest

from prefopt_core.ground.tables import TABLES
from prefopt_core.reports.page import (
    Code,
    Estimate,
    Facts,
    Fold,
    Notice,
    Page,
    Plots,
    Said,
    SideBySide,
    Table,
    Text,
    Verdict,
)
from prefopt_core.reports.plots import new_figure, plot_rounds
from prefopt_core.reports.render import render_html
from prefopt_core.reports.svg import SERIES, drawn
from tests import chromium

pytestmark = [pytest.mark.slow, chromium.needs_chromium]

LONG = "averylongwordthatnobodyhyphenates" * 5
READ = (
    "h1", "dt", "dd", ".verdict", ".notice", "code", "th", ".interval", ".text", ".note",
    ".by", ".better .by", ".worse .by", "blockquote", "summary", "figcaption", ".plot text",
)  # fmt: skip
LINES = '[aria-label="all lines"] path[clip-path]:not([stroke="var(--line)"])'
_CONTRAST = """
(selector) => {
  const rgb = (colour) => {
    const canvas = document.createElement('canvas').getContext('2d')
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const light = ([r, g, b]) => [r, g, b]
    .map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0)
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const colour = rgb(getComputedStyle(element).backgroundColor)
      if (colour[3] === 255) return colour
    }
  }
  return Math.min(...[...document.querySelectorAll(selector)].map((element) => {
    const style = getComputedStyle(element)
    const ink = element.closest('svg') ? (element.matches('text') ? style.fill : style.stroke)
      : style.color
    const [a, b] = [light(rgb(ink)), light(behind(element))].sort((x, y) => y - x)
    return (a + 0.05) / (b + 0.05)
  }))
}
"""


def page():
    rows = [
        (number, metric, 0.5 + number / 9, 0.4, 0.9, 200)
        for number in range(3)
        for metric in ("win_rate", "gold_score", "response_words")
    ]
    metrics = pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")
    figure = new_figure()
    axis = figure.subplots()
    for number, colour in enumerate(SERIES):
        axis.plot([0, 1], [number, number], color=colour)
    plots = [*plot_rounds(metrics), drawn(figure, "series", "all lines")]
    return Page(
        f"a title {LONG}",
        [
            Facts([("model", LONG), ("date", "2026-11-28")]),
            Verdict(f"After 448 labels {LONG}"),
            Plots(plots, "How to read it."),
            Table(list("abcdef"), [[LONG] * 5 + [Estimate("61 %", "[56, 66]")]]),
            Text(LONG),
            Notice(f"Lower `{LONG}`, or `training.beta`."),
            SideBySide("gold", LONG, Said("chosen", LONG, True), Said("rejected", "no", False)),
            Fold("Config", [Code(f"policy: {LONG}")], unfolded=True),
        ],
    )


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    file = folder / "report.html"
    file.write_text(render_html(page()), encoding="utf-8")
    with chromium.tab(folder) as tab:
        tab.open(file.as_uri())
        tab.wait_for(
            "document.readyState === 'complete' && document.querySelector('details') !== null"
        )
        yield tab


@pytest.mark.parametrize("width", [320, 768, 1400])
def test_a_page_never_scrolls_sideways(tab, width):
    tab.look_like(width, 800, phone=width == 320)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    widest = "Math.max(...[...document.querySelectorAll('.plot')].map(p => p.clientWidth))"
    assert tab.evaluate(widest) <= width


def test_nothing_is_cut_off_on_paper(tab):
    tab.look_like(718, 1000)  # A4 with its margins
    tab.send("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 718
    tab.send("Emulation.setEmulatedMedia", media="")


def test_two_responses_stand_side_by_side_unless_the_page_is_narrow(tab):
    same_row = "(([a, b]) => a.offsetTop === b.offsetTop)(document.querySelectorAll('.said'))"
    for width, beside in ((1200, True), (320, False)):
        tab.look_like(width, 800)
        assert tab.evaluate(same_row) is beside


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_read_in_both_themes(tab, dark):
    tab.look_like(1200, 800, dark=dark)
    found = {selector: tab.evaluate(f"({_CONTRAST})(`{selector}`)") for selector in READ}
    assert {selector: ratio for selector, ratio in found.items() if ratio < 4.5} == {}
    # of what is seen and not read, by WCAG
    assert tab.evaluate(f"({_CONTRAST})(`{LINES}`)") >= 3


def test_the_theme_is_the_readers_and_paper_is_white(tab):
    background = "getComputedStyle(document.querySelector('main')).backgroundColor"
    tab.look_like(1200, 800, dark=True)
    dark = tab.evaluate(background)
    tab.look_like(1200, 800)
    light = tab.evaluate(background)
    assert light == "rgb(255, 255, 255)" != dark
    tab.send(
        "Emulation.setEmulatedMedia",
        media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}],
    )  # fmt: skip
    assert tab.evaluate(background) == light
    tab.send("Emulation.setEmulatedMedia", media="")


def test_the_page_obeys_its_own_policy_which_allows_nothing_from_elsewhere(tab):
    html = render_html(page())
    assert not re.search(r"<script|\bstyle=|<link|<img|url\((?!#)|@import|://", html)
    assert tab.evaluate("performance.getEntriesByType('resource').length") == 0
    assert tab.evaluate("getComputedStyle(document.querySelector('dl')).display") == "flex"
    refused = (
        "new Promise((done) => {"
        " document.addEventListener('securitypolicyviolation', (e) => done(e.violatedDirective));"
        " document.body.insertAdjacentHTML('beforeend', '<img src=\"https://example.org/x.png\">');"
        " setTimeout(() => done(''), 5000) })"
    )
    assert tab.evaluate(refused) == "img-src"
