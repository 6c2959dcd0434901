"""Pages as HTML and as Markdown: the same parts in both, and no text is ever markup."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from prefopt_core.reports.page import (
    Code,
    Estimate,
    Facts,
    Fold,
    Heading,
    Notice,
    Page,
    Plots,
    Said,
    SideBySide,
    Strong,
    Table,
    Text,
    Verdict,
)
from prefopt_core.reports.plots import new_figure
from prefopt_core.reports.render import alone, plots_to_files, render_html, render_markdown
from prefopt_core.reports.svg import BLUE, GREY, SERIES, drawn

EVIL = '<script>alert("x")</script> | a\n\n`b [b](javascript:x) \\| </pre>'


def with_every_part(text):
    """A page that has `text` wherever a page can have one."""
    table = Table(
        ["", text],
        [[text, Strong(text)], [Estimate(text, text), text]],
    )
    plain = [Heading(text), Text(text), Notice(text), Code(text), Facts([(text, text)])]
    both = SideBySide(text, text, Said(text, text), Said(text, text, better=True))
    figure = new_figure()
    figure.subplots().plot([1, 2], color=BLUE, label=text)
    plots = Plots([drawn(figure, "plot", text)], text)
    parts = [*plain, Verdict(text), both, table, plots, Fold(text, [Text(text), table])]
    return Page(text, parts)


def as_html(markdown):
    """What a reader of Markdown with tables makes of it."""
    return MarkdownIt("commonmark").enable("table").render(markdown)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_no_text_is_markup_wherever_it_stands(render):
    page = render(with_every_part(EVIL))
    html = as_html(page) if render is render_markdown else page
    for harm in ("<script", '<a href="', 'src=""'):
        assert harm not in html
    assert html.count("</pre>") == 1
    assert html.count("<table") == (2 if render is render_html else 3)  # two columns, side by side


@given(st.text(st.sampled_from('|`\\[](){}<>&"\n*_~#:- ab'), max_size=12))
def test_a_table_in_markdown_keeps_its_cells_whatever_they_hold(text):
    page = Page("t", [Table(["h", text], [[text, "end"], [Strong(f"a{text}"), text]])])
    html = as_html(render_markdown(page))
    assert html.count("<th") - html.count("<thead") == 2
    assert html.count("<td") == 4
    assert html.count("<table") == 1
    assert "<a" not in html


@pytest.mark.parametrize(("kind", "mark"), [(Notice, "* "), (Text, "")])
def test_settings_in_a_paragraph_are_code(kind, mark):
    page = Page("t", [kind("lower `training.beta`, or <b>")])
    assert "lower <code>training.beta</code>, or &lt;b&gt;</p>" in render_html(page)
    assert f"\n{mark}lower `training.beta`, or &lt;b&gt;\n" in render_markdown(page)


def test_a_document_reads_from_top_to_bottom():
    table = Table(["", "n"], [["a", Strong("b")], ["c", Estimate("5 %", "[1, 9]")]])
    page = Page("Title", [Text("one"), table, Fold("more", [Text("two")]), Heading("end")])
    assert render_markdown(page) == (
        "## Title\n\none\n\n"
        "|  | n |\n| --- | --- |\n| a | **b** |\n| c | 5 % [1, 9] |\n\n"
        "#### more\n\ntwo\n\n### end\n"
    )
    html = render_html(page)
    places = [html.index(text) for text in (">one", "<table", "<summary>more", "two", "<h2>end")]
    assert places == sorted(places)


def test_a_fold_is_closed_unless_it_says_otherwise():
    closed, unfolded = (render_html(Page("t", [Fold("f", [], o)])) for o in (False, True))
    assert "<details><summary>f" in closed
    assert "<details open><summary>f" in unfolded


@pytest.mark.parametrize("render", [render_html, render_markdown])
@pytest.mark.parametrize("parts", [["no part"], [Table(["a"], [[1.5]])]], ids=["part", "cell"])
def test_a_part_or_cell_that_no_template_knows_is_an_error(render, parts):
    with pytest.raises(UndefinedError, match="of_this_kind"):
        render(Page("t", parts))


def test_plots_become_files_that_the_page_links(tmp_path):
    plot = drawn(new_figure(), "curves", "what was gained")
    page = plots_to_files(Page("t", [Text("a"), Plots([plot])]), tmp_path, "x-")
    assert '<img src="x-curves.svg" alt="what was gained">' in render_markdown(page)
    written = ElementTree.parse(tmp_path / "x-curves.svg").getroot()
    assert written.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_plot_on_its_own_brings_all_its_colours():
    figure = new_figure()
    axis = figure.subplots()
    for number, colour in enumerate((*SERIES, GREY)):
        axis.plot([number, 1], color=colour)
    svg = alone(drawn(figure, "all", "all colours"))
    used = set(re.findall(r"var\((--\w+)\)", svg))
    assert len(used) >= len(SERIES) + 1
    assert used <= set(re.findall(r"(--\w+):", svg))
    assert "style=" not in svg  # which a strict policy of the page refuses


def test_names_in_a_plot_are_no_formulas_and_break_nothing():
    figure = new_figure()
    axis = figure.subplots()
    axis.plot([1, 2], color=BLUE, label="$x^2$ & \x1b[31m <b>")
    figure.legend(*axis.get_legend_handles_labels(), frameon=False)
    svg = drawn(figure, "names", "names").svg
    assert "$x^2$ &amp; \\x1b[31m &lt;b&gt;" in svg
