"""Parts of pages on a terminal."""

import io
import logging
import re

from flows.console import ConsoleObserver, print_parts
from flows.terminal import Terminal
from prefopt_core.reports.page import (
    Estimate,
    Facts,
    Fold,
    Heading,
    Notice,
    Plot,
    Plots,
    Strong,
    Table,
    Text,
    Verdict,
)

EVIL = "[b] [/] [link=x]y[/link]"


def printed(*parts, title=""):
    console = Terminal(file=io.StringIO(), width=200, force_terminal=False)
    print_parts(parts, console, title)
    return console.file.getvalue()


def test_nothing_that_a_page_holds_is_markup_of_the_terminal():
    cells = [[EVIL, Strong(EVIL), Estimate(EVIL, "[1, 2]")]]
    shown = printed(
        Table([EVIL, "b", "c"], cells), Text(EVIL), Verdict(EVIL), Notice(EVIL), title=EVIL
    )
    assert shown.count(EVIL) == 1 + 1 + 3 + 3  # title, header, cells, paragraphs
    assert f"{EVIL} [1, 2]" in shown
    assert f"! {EVIL}\n" in shown


def test_a_coloured_terminal_gets_our_colours_and_nothing_of_a_text():
    console = Terminal(file=io.StringIO(), width=200, force_terminal=True, color_system="standard")
    console.tell(("hit", "green"), f" {EVIL} \x1b[31m \x1b]8;;https://x\x1b\\y :bomb: 1.5")
    console.table(["[b]"], [[("hit", "green")], [EVIL]], EVIL)
    console.print(EVIL, markup=True)
    shown = console.file.getvalue().replace("\x1b[32mhit\x1b[0m", "HIT")
    assert shown.count("HIT") == 2
    assert "\x1b]" not in shown
    assert set(re.findall(r"\x1b\[[\d;]*m", shown)) <= {"\x1b[1m", "\x1b[0m", "\x1b[1;32m"}
    assert shown.count(EVIL) == 4
    assert r"\x1b[31m \x1b]8;;https://x\x1b\y :bomb: 1.5" in shown


def test_tables_and_paragraphs_are_printed_and_nothing_else():
    assert (
        printed(
            Plots([Plot("p", "<svg>", "alt")], "c"),
            Heading("h"),
            Facts([("a", "b")]),
            Fold("f", [Text("t")]),
        )
        == ""
    )


def test_warnings_of_the_core_are_shown_while_a_run_goes_on():
    console = Terminal(file=io.StringIO(), width=200, force_terminal=False)
    log = logging.getLogger("prefopt_core.models.server.waiting")
    with ConsoleObserver(console):
        log.warning("%s: %s. Asking again in %.0f s.", "http://judge/v1", "HTTP 429 [/]", 8.0)
        log.info("nothing to see")
    log.warning("afterwards")
    assert console.file.getvalue() == "! http://judge/v1: HTTP 429 [/]. Asking again in 8 s.\n"
