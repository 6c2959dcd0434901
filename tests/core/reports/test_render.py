"""Pages as HTML and as Markdown: the same parts in both, and no text is ever markup."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markdown_it import MarkdownIt

from prefopt_core.reports.page import (
    ChosenRejected,
    Code,
    Estimate,
    Fold,
    Heading,
    Notice,
    Page,
    Plot,
    Strong,
    Table,
    Text,
)
from prefopt_core.reports.render import plots_to_files, render_html, render_markdown

EVIL = '<script>alert("x")</script> | a\n\n`b [b](javascript:x) \\| </pre>'


def with_every_part(text):
    """A page that has `text` wherever a page can have one."""
    table = Table(
        ["", text],
        [[text, Strong(text)], [Estimate(text, text), ChosenRejected(text, text)]],
    )
    plain = [Heading(text), Text(text), Notice(text), Code(text)]
    plot = Plot("plot", f'"{text}', text)
    return Page(text, [*plain, table, plot, Fold(text, [Text(text), table])])


def as_html(markdown):
    """What a reader of Markdown with tables makes of it."""
    return MarkdownIt("commonmark").enable("table").render(markdown)


@pytest.mark.parametrize("render", [render_html, render_markdown])
def test_no_text_is_markup_wherever_it_stands(render):
    page = render(with_every_part(EVIL))
    html = as_html(page) if render is render_markdown else page
    for harm in ("<script", 'href="', 'src=""'):
        assert harm not in html
    assert html.count("</pre>") == 1
    assert html.count("<table") == 2


@given(st.text(st.sampled_from('|`\\[](){}<>&"\n*_~#:- ab'), max_size=12))
def test_a_table_in_markdown_keeps_its_cells_whatever_they_hold(text):
    page = Page("t", [Table(["h", text], [[text, "end"], [Strong(f"a{text}"), text]])])
    html = as_html(render_markdown(page))
    assert html.count("<th") - html.count("<thead") == 2
    assert html.count("<td") == 4
    assert html.count("<table") == 1
    assert "<a" not in html


def test_settings_in_a_notice_are_code():
    page = Page("t", [Notice("lower `training.beta`, or <b>")])
    assert "lower <code>training.beta</code>, or &lt;b&gt;</p>" in render_html(page)
    assert "* lower `training.beta`, or &lt;b&gt;\n" in render_markdown(page)


def test_a_document_reads_from_top_to_bottom():
    table = Table(["", "n"], [["a", Strong("b")], ["c", Estimate("5 %", "[1, 9]")]])
    page = Page("Title", [Text("one"), table, Fold("more", [Text("two")]), Heading("end")])
    assert render_markdown(page) == (
        "## Title\n\none\n\n"
        "|  | n |\n| --- | --- |\n| a | **b** |\n| c | 5 % [1, 9] |\n\n"
        "#### more\n\ntwo\n\n### end\n"
    )
    html = render_html(page)
    places = [html.index(text) for text in ("<p>one", "<table", "<summary>more", "two", "<h2>end")]
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
    url = "data:image/png;base64," + base64.b64encode(b"pixels").decode()
    page = plots_to_files(Page("t", [Text("a"), Plot("curves", url, "curves")]), tmp_path, "x-")
    assert page.parts == [Text("a"), Plot("curves", "x-curves.png", "curves")]
    assert (tmp_path / "x-curves.png").read_bytes() == b"pixels"
