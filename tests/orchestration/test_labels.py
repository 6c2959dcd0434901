"""`prefopt labels`: what there is, files out and in, names, and how it is deleted."""

import csv
import io
import re

import pytest

from flows.cli import AWAITING, LABELS
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.batch import name_account
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.asked import Labels, question
from tests.people import PEOPLE, leave, question_on

JUDGE = AnnotatorIdentity('{"function":{"function":"score","function_file":"aa"}}', "1")


@pytest.fixture(autouse=True)
def _narrow(monkeypatch, _wide):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def labels(store):
    """Two questions that wait for people, one of which is answered, and a judge's label."""
    labels = Labels(store.root)
    asked = [question(f"How {i}?\nPlease.", f"So {i}. " * 60, "\x1b[31mNo.") for i in range(2)]
    labels.ask(*asked)
    labels.keep((asked[0], Verdict.preferred(1.0, by="ada", why="It helps.", seconds=4)))
    labels.keep(
        (asked[1].turned(), Verdict.preferred(0.25, usage=Usage(9, 9, 0.5))), annotator=JUDGE
    )
    return labels


def test_the_help_page_has_a_line_for_every_action(prefopt):
    code, output, _ = prefopt("labels")
    assert code == 0
    assert all(name in output and text in output for name, (_, text) in LABELS.items())


def test_ls_says_who_gave_what_when_and_at_what_cost(prefopt, labels):
    code, output, _ = prefopt("labels", "ls")
    assert code == 0
    assert re.search(r"^\w{8}  function score, content aa, guidelines 1$", output, re.M)
    assert re.search(r"^\w{8}  people, guidelines 1$", output, re.M)
    assert "1 label: 1 given; 1 more awaited from people" in output
    assert output.count("cost 0.5") == 2  # people's price, and what a server was paid
    assert re.search(r"by ada: 1, \d{4}-\d\d-\d\d$", output, re.M)
    assert max(map(len, output.splitlines())) <= 80


def test_an_empty_store_says_so(prefopt, store):
    assert prefopt("labels", "ls")[1].startswith("There are no labels in ")
    assert prefopt("labels", "show")[1] == "0 of 0 labels\n"


def test_show_prints_texts_that_no_terminal_obeys(prefopt, labels):
    code, output, _ = prefopt("labels", "show", "--lines", "3")
    assert code == 0
    assert "2 of 2 labels" in output
    assert "verdict 1, by ada, in 4.0 s, at " in output
    assert "verdict p=0.25" in output
    assert "It helps." in output
    assert re.search("… [1-9] more lines", output)
    assert "\x1b" not in output
    assert max(map(len, output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["people"], "1 of 1 labels"),
        (["function"], "1 of 1 labels"),
        (["--by", "ada"], "1 of 1 labels"),
        (["--state", "tie"], "0 of 0 labels"),
        (["--rows", "1"], "1 of 2 labels"),
        (["--open"], "1 of 1 open questions"),
    ],
)
def test_show_shows_what_is_asked_for(prefopt, labels, words, shown):
    assert prefopt("labels", "show", *words)[1].endswith(f"{shown}\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "peple"], "There are no labels of 'peple'. Did you mean 'people'?"),
        (["show", "--state", "ties"], "There is no state 'ties'. Did you mean 'tie'?"),
        (["export", "x.txt"], "Name the format with --format."),
        (["export", "x.txt", "--format", "cvs"], "Unknown format of labels 'cvs'."),
        (["export", "x.csv", "--guide", "g"], "'csv' has no setting 'guide'"),
        (["import", "none.csv"], "none.csv cannot be read"),
        (["import", "none.jsonl"], "There is no file none.jsonl."),
    ],
)
def test_mistakes_end_in_one_line(prefopt, labels, words, said):
    code, _, error = prefopt("labels", *words)
    assert code == 2
    assert said in error
    assert len(error.splitlines()) == 1


def test_open_questions_go_out_and_come_back(prefopt, labels, tmp_path):
    file = tmp_path / "questions.csv"
    code, output, _ = prefopt("labels", "export", file)
    back = f"When it is filled in: prefopt labels import {file}"
    assert (code, output) == (0, f"1 open question to {file}, as csv.\n{back}\n")
    code, output, _ = prefopt("labels", "import", file)
    assert (code, output) == (0, "0 labels taken; 1 row without a verdict yet.\n")
    text = file.read_text("utf-8")
    file.write_text(text.replace('"","",""', '"2","bob",""', 1), "utf-8")
    code, output, _ = prefopt("labels", "import", file)
    assert output == (
        "1 label taken; 1 of them in the budgets of the runs that asked.\n"
        "No more are awaited: the run's own command goes on from here.\n"
    )
    assert prefopt("labels", "import", file)[1] == "0 labels taken; 1 there already.\n"
    assert labels.open == []
    code, _, error = prefopt("labels", "export", file)
    assert (code, "No question waits for people" in error) == (2, True)


def test_one_of_two_batches_goes_out_by_its_name_or_its_id(prefopt, store, tmp_path):
    kept, file = LabelStore.of(store), tmp_path / "questions.csv"
    batches = [
        leave(kept, [question_on(10 * n + i) for i in range(n)], account=f"run {n}") for n in (2, 1)
    ]
    name_account(kept, "run 2", "ask-us.yaml seed=1")
    ids = [batch.id for batch in batches]
    output = prefopt("labels", "ls")[1]
    assert f"open:     {ids[0]}  ask-us.yaml seed=1, guidelines 1: 2 of 2 labels to" in output
    for word, number in (("ask-us.yaml seed=1", 2), (ids[0], 2), ("run 1", 1), (ids[1], 1)):
        assert prefopt("labels", "export", file, word)[1].startswith(f"{number} open question")
    assert prefopt("labels", "export", file, ids[0])[1].count(ids[0]) == 0
    output = prefopt("labels", "export", file)[1]
    assert output.startswith("3 open questions")
    assert "of 2 batches; an id behind FILE" in output
    assert all(each in output for each in ids)
    assert prefopt("labels", "export", file, "run 4")[0] == 2


@pytest.mark.parametrize("format", ["csv", "html"])
def test_a_file_is_not_written_under_the_ending_of_another_format(
    prefopt, labels, tmp_path, format
):
    file = tmp_path / "questions.json"
    code, _, error = prefopt("labels", "export", file, "--format", format)
    assert (code, f"must end in .{format}" in error, file.exists()) == (2, True, False)


@pytest.mark.parametrize("name", ["p.jsonl --format trl", "p.parquet --format helpsteer3"])
def test_verdicts_go_out_as_preferences_with_what_is_lost(prefopt, labels, tmp_path, name):
    file, *options = name.split()
    code, output, _ = prefopt("labels", "export", tmp_path / file, *options)
    assert code == 0
    assert output.startswith("2 verdicts to ")
    assert "not held" in output


def test_a_public_file_comes_in_under_a_name(prefopt, labels, write):
    file = write("hh.jsonl", [{"chosen": "\n\nHuman: a\n\nAssistant: b",
                               "rejected": "\n\nHuman: a\n\nAssistant: c"}])  # fmt: skip
    code, output, _ = prefopt("labels", "import", file, "--name", "anthropic", "--by", "crowd")
    assert code == 0
    assert output.startswith("1 label taken.\nRuns with `annotation: {annotator: people, name: ant")
    output = prefopt("labels", "ls", "anthropic")[1]
    assert "people 'anthropic', guidelines 1" in output
    assert "by crowd: 1" in output


def test_rm_first_says_what_it_would_delete(prefopt, labels):
    code, output, _ = prefopt("labels", "rm", "function")
    assert code == 0
    assert "1 label that had cost 0.5 would be deleted, and bought again" in output
    assert len(labels.verdicts) == 2
    output = prefopt("labels", "rm", "function", "--yes")[1]
    assert "1 label that had cost 0.5 deleted" in output
    assert [entry.verdict.by for entry in labels.verdicts] == ["ada"]


def test_rm_takes_the_question_and_unused_texts_with_the_label(prefopt, labels):
    assert prefopt("labels", "rm", "people", "--by", "ada", "--yes")[0] == 0
    assert len(labels.open) == 1  # the other one
    prefopt("labels", "rm", "function", "--yes")
    with labels.kept.connected() as connection:
        (texts,) = connection.execute("SELECT COUNT(*) FROM texts").fetchone()
    assert texts == 3  # of the question that is open
    assert labels.balance.labels == 0  # these were not paid from it


def test_rm_needs_to_be_told_whose(prefopt, labels):
    assert prefopt("labels", "rm", "--yes")[0] == 2
    assert len(labels.verdicts) == 2


def test_a_name_keeps_labels_of_a_function_that_was_edited(prefopt, labels):
    code, output, _ = prefopt("labels", "name", "function", "grace")
    assert (code, "function score, content " in output, "Add --yes" in output) == (
        0,
        True,
        True,
    )
    assert prefopt("labels", "show", "grace")[0] == 2
    code, output, _ = prefopt("labels", "name", "function", "grace", "--yes")
    assert code == 0
    assert "1 label of 'grace' from now on: `annotation.name=grace` finds them." in output
    edited = AnnotatorIdentity(
        '{"function":{"function":"score","function_file":"bb"},"name":"grace"}', "1", "grace"
    )
    assert len(labels.kept.known(edited)) == 1


@pytest.mark.slow
def test_a_run_goes_on_from_labels_in_a_file(prefopt, settings, config_file, store, tmp_path):
    settings["annotation"] = PEOPLE
    command, file = ("run", config_file(settings), "--no-server"), tmp_path / "questions.csv"
    rounds = 0
    while prefopt(*command)[0] == AWAITING:
        rounds += 1
        assert rounds < 5
        prefopt("labels", "export", file)
        text = file.read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        with file.open("w", encoding="utf-8-sig", newline="") as changed:
            lines = csv.DictWriter(changed, rows[0])
            lines.writeheader()
            lines.writerows(row | {"verdict": "1"} for row in rows)
        code, output, _ = prefopt("labels", "import", file, "--by", "ada")
        assert (code, f"{len(rows)} labels taken" in output) == (0, True)
        assert "No more are awaited" in output
    assert rounds == 2
    assert prefopt(*command)[0] == 0
