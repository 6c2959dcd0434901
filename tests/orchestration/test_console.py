"""Parts of pages on a terminal."""

import io
import logging
import re
import time

import pytest
from rich.progress import Progress

from flows.console import ConsoleObserver, Ticker, print_parts
from flows.terminal import Terminal, lasting
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
        log.info("A model is %s.", "[/]trained")
        log.debug("nothing to see")
    log.warning("afterwards")
    assert console.file.getvalue() == (
        "! http://judge/v1: HTTP 429 [/]. Asking again in 8 s.\n  A model is [/]trained.\n"
    )


def test_without_a_terminal_lines_say_how_far_a_long_stage_is_and_fewer_the_longer_it_takes():
    now, lines = [0.0], []
    progress = Progress(disable=True, get_time=lambda: now[0])
    ticker = Ticker(progress, lines.append)
    train = progress.add_task("train", total=None)
    for now[0] in range(3601):
        if now[0] >= 12:
            progress.update(train, total=4000, completed=now[0])
        ticker.tick()
    assert lines[0] == "… train              after 10 s"
    assert lines[5] == "… train              2 % after 80 s, about 65 min left"
    assert 15 < len(lines) < 25
    progress.remove_task(train)
    progress.add_task("pair", total=None)
    ticker.tick()
    assert "pair" not in "".join(lines)


@pytest.mark.parametrize("step", [1, 7])  # seconds; what is reported every second, and seldom
def test_what_is_left_is_said_once_a_stage_has_gone_on_for_some_time(step):
    # 9 s of imports and a first step of 3 s, then 100 steps; by share 1 % after 12 s is 20 min.
    now, lines = [0.0], []
    progress = Progress(disable=True, get_time=lambda: now[0])
    ticker = Ticker(progress, lambda line: lines.append((now[0], line)))
    train = progress.add_task("load_policy", total=101)
    for now[0] in range(12 + 100 * step):
        if now[0] >= 12:
            progress.update(train, completed=1 + (now[0] - 12) // step)
        ticker.tick()
    said = [(at, line.partition(", about ")[2]) for at, line in lines]
    assert [left for at, left in said if at < 22] == [""] * sum(at < 22 for at, _ in said)
    later = [(at, left) for at, left in said if at > 12 + 2 * max(10, step)]
    assert later
    for at, left in later:
        assert left == f"{lasting(12 + 100 * step - at)} left"


def test_what_is_left_of_resumed_work_is_told_by_what_is_done_now():
    now, lines = [0.0], []
    progress = Progress(disable=True, get_time=lambda: now[0])
    ticker = Ticker(progress, lines.append)
    train = progress.add_task("train", total=1000)
    for now[0] in range(60):
        if now[0] >= 5:
            progress.update(train, completed=900 + now[0] - 5)  # 900 were done before
        ticker.tick()
    assert lines[-1] == "… train              95 % after 53 s, about 52 s left"


def test_nothing_is_said_to_be_left_at_the_end_or_where_progress_goes_back():
    now, lines = [0.0], []
    progress = Progress(disable=True, get_time=lambda: now[0])
    ticker = Ticker(progress, lines.append)
    embed = progress.add_task("embed", total=1000)
    for now[0], done in ((1, 50), (9, 300), (12, 0), (16, 50), (24, 60), (40, 600), (80, 1000)):
        progress.update(embed, completed=done)
        ticker.tick()
    for now[0] in range(81, 400):  # it is saved, say
        ticker.tick()
    assert "left" not in "".join(line for line in lines if "100 %" in line)
    # from the second beginning on: 550 in 24 s
    assert "… embed              60 % after 40 s, about 17 s left" in lines


def test_a_run_without_a_terminal_is_not_silent_while_a_stage_runs(monkeypatch):
    monkeypatch.setattr("flows.console.FIRST_S", 0.5)
    console = Terminal(file=io.StringIO(), width=200, force_terminal=False)
    with ConsoleObserver(console) as observer:
        observer.started("load_policy")
        for _ in range(50):
            time.sleep(0.1)
            if console.file.getvalue():
                break
    assert console.file.getvalue().startswith("… load_policy        after ")
