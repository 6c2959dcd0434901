"""`prefopt runs`, `show` and `labels ls` on a terminal of 80 columns."""

import io
import re
import time
from contextlib import suppress

import polars as pl
import pytest

from flows.terminal import Terminal
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.runs import Run, note, recorded
from tests.asked import PEOPLE, question

METRICS = {
    "win_rate": 0.543,
    "length_controlled_win_rate": 0.512,
    "gold_score": 1.4,
    "labels": 64.0,
    "gold_pairs": 32.0,
    "self_pairs": 112.0,
    "self_label_agreement": 0.37,
    "response_words": 18.5,
}


@pytest.fixture(autouse=True)
def _narrow(monkeypatch, _wide):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def run(store):
    """Keep the record of a run that ends at once, or with an error."""

    def run(name, error=None, account="", **results):
        record = Run(
            name=name, flow="align", settings=name, model="m", started=time.time(), account=account
        )
        with suppress(ValueError, KeyboardInterrupt), recorded(store, record):
            note(store, name, **results)
            if error:
                raise error

    return run


def metrics_of(store):
    rows = [
        (number, metric, value, None if metric in ("labels", "gold_pairs", "self_pairs") else 0.26,
         None if metric in ("labels", "gold_pairs", "self_pairs") else 0.49, 30)
        for number in (1, 2) for metric, value in METRICS.items()
    ]  # fmt: skip
    schema = ["round", "metric", "value", "low", "high", "n"]
    frame = pl.DataFrame(rows, schema, orient="row").cast({"round": pl.Int32})
    return Artifact(table="metrics", shards=(store.put_table("metrics", frame),))


def test_runs_shows_columns_that_say_something_and_why_a_run_failed(prefopt, run):
    run("good", win_rate=0.58, labels=8)
    run("bad", ValueError(f"no\n{'way ' * 40}"))
    code, output, _ = prefopt("runs")
    assert code == 0
    header = output.splitlines()[1]
    assert "win rate" in header
    assert "cost" not in header
    assert "58 %" in output
    assert re.search(r"^bad failed: ValueError: no way .*…$", output, re.M)
    assert max(map(len, output.splitlines())) <= 80
    run("dear", cost=0.5)
    assert "cost" in prefopt("runs")[1].splitlines()[1]


def test_a_run_is_shown_by_the_start_of_its_name(prefopt, run):
    run("good-1")
    run("bad", ValueError("no\nway"))
    assert "run          good-1" in prefopt("show", "go")[1]
    assert "failed: ValueError: no\nway" in prefopt("show", "bad")[1]
    code, _, error = prefopt("show", "ugly")
    assert (code, "`prefopt runs`" in error) == (2, True)


def test_of_several_runs_of_a_name_the_newest_is_shown_and_the_others_are_named(prefopt, run):
    run("mine-0-aaaaaa")
    run("mine-1-bbbbbb")
    output = prefopt("show", "mine")[1]
    first, *_ = output.splitlines()
    assert first == "mine is mine-1-bbbbbb here, the newest of 2; others by name: mine-0-aaaaaa"
    assert "run          mine-1-bbbbbb" in output
    assert "newest" not in prefopt("show", "mine-0-aaaaaa")[1]


def test_show_tells_every_warning_of_the_page_and_breaks_no_figure(prefopt, run, store):
    run("doubtful", metrics=(metrics_of(store),), kept=2, warnings=("first doubt", "second doubt"))
    output = prefopt("show", "doubtful")[1]
    assert "! first doubt" in output
    assert "! second doubt" in output
    assert "37 %" in output
    assert re.search(r"^round +win rate", output, re.M)  # a table of all columns
    assert len(re.findall(r"\[26, 49\]", output)) >= 4
    assert not re.search(r"\[[-+\d.]+, *$|\d$\s+%", output, re.M)
    assert max(map(len, output.splitlines()[:12])) <= 80


@pytest.mark.parametrize("width", range(20, 81, 7))
def test_no_line_of_a_paragraph_ends_within_a_figure(capsys, width):
    Terminal(width=width).paragraph("the policy wins 54 % [44, 64] over its start and then some")
    output = capsys.readouterr().out
    assert "54 %" in output
    assert "[44, 64]" in output
    assert max(map(len, output.splitlines())) <= width


@pytest.mark.parametrize("terminal", [True, False])
def test_a_warning_has_the_lines_of_a_terminal_and_is_one_line_in_a_file(terminal):
    console = Terminal(file=io.StringIO(), width=40, force_terminal=terminal, no_color=True)
    console.warn("The policy wins 54 % [44, 64] of what it is asked, which may be chance.")
    lines = console.file.getvalue().splitlines()
    assert len(lines) == (2 if terminal else 1)
    assert max(map(len, lines)) <= 40 or not terminal
    assert [line[:2] for line in lines] == ["! ", "  "][: len(lines)]


def test_show_says_how_a_deployed_run_that_was_cancelled_goes_on(prefopt, run):
    run("nightly", KeyboardInterrupt("by a worker"), flow_run="1f3c")
    assert re.search(r"^again +prefect flow-run retry 1f3c$", prefopt("show", "nightly")[1], re.M)


def test_judges_of_one_function_name_are_told_apart_by_what_is_in_their_files(prefopt, store):
    for number, content in enumerate(("5f8a1c0de9", "77aa2b3c4d")):
        text = f'{{"function":{{"function":"judge","function_file":"{content}"}}}}'
        who = AnnotatorIdentity(text, "1", None)
        with buying(LabelStore.of(store), who, Allowance("mine", 9)) as purchase:
            purchase.hold(1)
            purchase.commit(question(f"Why {number}?", "So.", "No."), Verdict.preferred(1.0))
    output = prefopt("labels", "ls")[1]
    assert "function judge, content 5f8a1c0d, guidelines 1" in output
    assert "function judge, content 77aa2b3c, guidelines 1" in output


def test_what_cannot_be_listed_is_told_in_short_with_what_is_near(prefopt):
    code, _, said = prefopt("list", "annotator")
    assert code == 2
    assert "There is no kind 'annotator'. Did you mean annotators or annotation?" in said
    assert prefopt("list", "zzz")[2] == (
        "prefopt: There is no kind 'zzz'. `prefopt list` shows all.\n"
    )


def test_a_config_where_a_folder_is_expected_is_told_what_it_is(prefopt, tmp_path):
    config = tmp_path / "loop.yaml"
    config.write_text("flow: align")
    code, _, said = prefopt("export", config)
    assert (code, "loop.yaml is a config; expected a folder" in said) == (2, True)
    assert "prefopt export FOLDER --run loop`" in said


def test_short_cells_of_a_record_share_lines(capsys):
    header = ["text", *(f"name_{i}" for i in range(12))]
    Terminal(width=60).table(header, [["word " * 20, *("value" for _ in range(12))]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 8
    assert "name_0 value · name_1 value" in lines[3]
    assert max(map(len, lines)) <= 60


def test_labels_are_paid_from_runs_by_their_names(prefopt, run, store):
    kept, said = LabelStore.of(store), Verdict.preferred(1.0)
    for number, account in enumerate(("run 12ab", "run 34cd")):
        with buying(kept, PEOPLE, Allowance(account, 9)) as purchase:
            purchase.hold(1)
            purchase.commit(question(f"Why {number}?", "So.", "No."), said)
    run("mine", account="run 12ab")
    output = prefopt("labels", "ls")[1]
    assert "paid from run mine: 1" in output
    assert "paid from run 34cd: 1" in output  # of no run that is known
    assert "2 labels of people, guidelines 1" in prefopt("cache", "ls")[1]
