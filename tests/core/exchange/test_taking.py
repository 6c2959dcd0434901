"""Verdicts from a file: every row is checked, all are taken or none, and paid as labels are."""

import csv
import io
import json
from dataclasses import replace

import pytest

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.exchange import READERS, WRITERS
from prefopt_core.exchange.files import format_of
from prefopt_core.exchange.taking import Taken, Terms, take
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity


@pytest.fixture
def asked(desk, ask):
    """Three questions that wait for people."""
    questions = [ask(f"Question {i}", f"first {i}", f"second {i}") for i in range(3)]
    desk.ask(*questions)
    return questions


@pytest.fixture
def sheet(desk, asked, tmp_path):
    """The open questions as a CSV; returns it with these cells filled in, by row."""
    path = tmp_path / "questions.csv"
    list(WRITERS["csv"](desk.open, path))

    def sheet(*cells, repeat=1):
        text = path.read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        for row, changed in zip(rows, cells, strict=False):
            row.update(changed)
        filled = tmp_path / "filled.csv"
        with filled.open("w", encoding="utf-8-sig", newline="") as file:
            lines = csv.DictWriter(file, rows[0])
            lines.writeheader()
            lines.writerows(rows * repeat)
        return filled

    return sheet


def import_csv(desk, path, **terms):
    return take(desk.kept, READERS["csv"](path), Terms(**terms))


def by(person, verdict, **more):
    return {"by": person, "verdict": verdict, **more}


def test_answers_are_labels_and_paid_from_the_account_that_asked(desk, asked, sheet):
    path = sheet(by("alice", "1", why="clear"), by("alice", "both bad"), by("alice", ""))
    assert import_csv(desk, path) == Taken(labels=2, paid=2, blank=1)
    first, second, third = (desk.said.get(question.key) for question in asked)
    assert first == [Verdict.preferred(1.0, by="alice", why="clear")]
    assert second == [Verdict("both_bad", by="alice")]
    assert third is None
    assert (desk.balance.labels, desk.balance.cost, desk.balance.held_labels) == (2, 1.0, 1)
    assert [entry.question for entry in desk.open] == asked[2:]


def test_the_same_file_twice_is_one_purchase(desk, sheet):
    path = sheet(by("alice", "1"), by("alice", "tie"), by("alice", "skip"))
    import_csv(desk, path)
    before = desk.verdicts
    assert import_csv(desk, path) == Taken(known=3)
    assert desk.verdicts == before
    assert desk.balance.labels == 3


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (by("alice", "3"), r"row 3: 'verdict' is '3'; expected 1, 2, tie, both bad or skip"),
        (by("", "1"), r"row 3: it does not say who gave the verdict.*--by NAME"),
        (by("alice", "2", response_1="better"), r"row 3: 'response_1' was edited .*'first 1'"),
        (by("alice", "2", prompt="Another"), r"row 3: 'prompt' was edited .*'Question 1'"),
        (by("alice", "2", question_id="q2-00ff"), r"row 3: such a question was never asked"),
        (by("alice", "2", question_id="12"), r"row 3: 'question_id' is '12'"),
        (by("alice", "2", guidelines="2"), r"row 3: such a question .* under these guidelines"),
        (by("alice", "2", seconds="soon"), r"row 3: 'seconds' is 'soon'; expected a number"),
        (by("alice", "2", seconds="nan"), r"row 3: 'seconds' is 'nan'; expected a number"),
    ],
)
def test_one_wrong_row_is_named_and_nothing_is_taken(desk, sheet, cells, said):
    with pytest.raises(DataError, match=said):
        import_csv(desk, sheet(by("alice", "1"), cells, by("alice", "1")))
    assert desk.verdicts == []
    assert desk.balance.labels == 0


def test_every_wrong_row_has_its_line(desk, sheet):
    path = sheet(by("alice", "good"), by("alice", "bad one"), by("alice", "1"))
    with pytest.raises(DataError) as error:
        import_csv(desk, path)
    first, second, end = str(error.value).splitlines()
    assert "row 2" in first
    assert "row 3" in second
    assert end == "Nothing was taken from the file."


def test_what_is_wrong_with_many_rows_is_said_once(desk, sheet):
    path = sheet(by("", "1"), by("", "2"), by("alice", "maybe"))
    with pytest.raises(DataError) as error:
        import_csv(desk, path)
    unread, unnamed, _ = str(error.value).splitlines()
    assert ", row 4: 'verdict' is 'maybe'" in unread  # and it hides nothing else
    assert ", row 2, 3: it does not say who gave the verdict" in unnamed
    assert desk.verdicts == []


def test_the_keys_of_the_page_are_verdicts(desk, asked, sheet):
    import_csv(desk, sheet(by("alice", "b"), by("alice", "T"), by("alice", "s")))
    assert [desk.said[one.key][0].state for one in asked] == ["both_bad", "tie", "skipped"]


def test_a_name_has_one_spelling_and_names_alike_are_told(desk, sheet):
    taken = import_csv(desk, sheet(by("Zo\u00eb", "1"), by("Zoe\u0308", "2"), by("ZO\u00cb", "2")))
    assert taken.labels == 3
    assert taken.alike == {("ZO\u00cb", "Zo\u00eb")}
    assert {verdict.by for (verdict,) in desk.said.values()} == {"Zo\u00eb", "ZO\u00cb"}


def test_one_person_answers_once(desk, sheet):
    with pytest.raises(DataError, match=r"row 5: 'alice' answers the question of .*row 2 again"):
        import_csv(desk, sheet(by("alice", "1"), repeat=2))
    assert desk.verdicts == []


def test_a_contradiction_is_refused_with_what_was_said_before(desk, sheet):
    import_csv(desk, sheet(by("alice", "1")))
    with pytest.raises(DataError, match=r"row 2: it contradicts what 'alice' said before"):
        import_csv(desk, sheet(by("alice", "2"), by("alice", "2")))
    assert len(desk.verdicts) == 1


def test_the_budget_holds_for_as_many_people_as_were_asked(desk, asked, sheet):
    import_csv(desk, sheet(by("alice", "1")))
    path = sheet(by("bob", "2"), by("bob", "2"))
    with pytest.raises(DataError, match=r"row 2: the question was for 1 .*'alice'.*--only-open"):
        import_csv(desk, path)
    assert import_csv(desk, path, only_open=True) == Taken(labels=1, paid=1, blank=1, surplus=1)
    assert desk.balance.labels == 2


def test_several_people_answer_what_is_for_several(desk, ask, tmp_path):
    desk.ask(ask("Which?", "this", "that"), wanted=2)
    for person in ("alice", "bob"):
        path = tmp_path / f"{person}.csv"
        (entry,) = desk.open
        list(WRITERS["csv"]([replace(entry, verdict=Verdict.preferred(0.0, by=person))], path))
        assert import_csv(desk, path).paid == 1
    assert desk.open == []
    assert desk.balance.labels == 2


def test_who_gave_the_verdicts_can_be_said_for_the_whole_file(desk, sheet):
    import_csv(desk, sheet(by("", "1"), by("bob", "2")), by="alice")
    assert [entry.verdict.by for entry in desk.verdicts] == ["alice", "bob"]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_separators_and_line_breaks_of_spreadsheets_do_not_matter(desk, ask, tmp_path, separator):
    question = ask("Two\r\nlines; and, more", 'a "quoted" one', "1/2")
    desk.ask(question)
    list(WRITERS["csv"](desk.open, tmp_path / "q.csv"))
    text = (tmp_path / "q.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert rows[0]["response_2"] == "'1/2"
    rows[0] |= by("alice", "2")
    with (tmp_path / "saved.csv").open("w", encoding="utf-8", newline="") as file:
        lines = csv.DictWriter(file, rows[0], delimiter=separator)
        lines.writeheader()
        lines.writerow({n: cell.replace("\r\n", "\n") for n, cell in rows[0].items()})
    assert import_csv(desk, tmp_path / "saved.csv").labels == 1
    assert list(desk.said) == [question.key]


def test_labels_of_another_store_are_taken_when_that_is_meant(desk, elsewhere, ask, tmp_path):
    judge = AnnotatorIdentity('{"function":{"function":"f"}}', "1")
    used = Usage(10, 5, 0.01)
    said = Verdict.preferred(0.8, why="so", usage=used, seconds=2.5)
    elsewhere.keep((ask("Which?", "this", "that"), said), annotator=judge)
    path = tmp_path / "labels.csv"
    list(WRITERS["csv"](elsewhere.verdicts, path))
    with pytest.raises(DataError, match=r"row 2: .* was never asked from this store.*--elsewhere"):
        import_csv(desk, path)
    assert import_csv(desk, path, elsewhere=True) == Taken(labels=1)
    (before,), (after,) = elsewhere.verdicts, desk.verdicts
    assert replace(after, at=None) == replace(before, at=None)
    assert after.at == pytest.approx(before.at, abs=1e-5)
    assert desk.kept.known(judge) == elsewhere.kept.known(judge)


def test_edited_texts_of_another_store_are_refused(desk, elsewhere, ask, tmp_path):
    elsewhere.keep((ask("Which?", "this", "that"), Verdict("tie")))
    path = tmp_path / "labels.csv"
    list(WRITERS["csv"](elsewhere.verdicts, path))
    path.write_text(path.read_text("utf-8").replace("this", "This"), "utf-8")
    with pytest.raises(DataError, match=r"row 2: its texts do not belong to the question"):
        import_csv(desk, path, elsewhere=True)


def test_a_public_file_becomes_labels_that_a_run_finds(desk, ask, write):
    path = write("pairs.jsonl", [{"prompt": "Which?", "chosen": "that", "rejected": "this"}])
    mary = identity(AnnotationConfig(annotator="people", name="mary", guidelines="2"))
    with pytest.raises(DataError, match=r"line 1: the file does not say whose labels.*--name NAME"):
        take(desk.kept, READERS["trl"](path), Terms())
    take(desk.kept, READERS["trl"](path), Terms(mary, elsewhere=True))
    (labels,) = desk.kept.known(mary).values()
    question = ask("Which?", "this", "that")
    assert [label.responses for label in labels] in ([question.key[1]], [question.turned().key[1]])
    assert desk.kept.known(replace(mary, guidelines="1")) == {}


def test_a_public_file_answers_what_is_open_and_is_paid(desk, ask, write):
    mary = identity(AnnotationConfig(annotator="people", name="mary"))
    desk.ask(ask("Which?", "this", "that"), annotator=mary)
    path = write("pairs.jsonl", [{"prompt": "Which?", "chosen": "that", "rejected": "this"}])
    taken = take(desk.kept, READERS["trl"](path), Terms(mary, "mary", elsewhere=True))
    assert taken == Taken(labels=1, paid=1)
    assert desk.open == []


def test_a_forged_annotator_is_refused(desk, elsewhere, ask, tmp_path):
    elsewhere.keep((ask("Which?", "this", "that"), Verdict("tie")))
    (entry,) = elsewhere.verdicts
    path = tmp_path / "labels.csv"
    list(WRITERS["csv"]([replace(entry, annotator="somebody")], path))
    with pytest.raises(DataError, match=r"its annotator is 'somebody', which was edited"):
        import_csv(desk, path, elsewhere=True)


def test_a_file_without_verdicts_changes_nothing(desk, sheet):
    assert import_csv(desk, sheet()) == Taken(blank=3)
    assert desk.balance.labels == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt,verdict\n", r"no column 'question_id'"),
        ("prompt\n\xff".encode("latin-1"), r"not UTF-8 text"),
        ('prompt,verdict,question_id\n"a', r"line 2: not CSV"),
        ("prompt,verdict,question_id\na,b,c,d\n", r"row 2 has 4 cells"),
    ],
)
def test_what_is_no_sheet_is_refused(write, text, said):
    with pytest.raises(DataError, match=said):
        list(READERS["csv"](write("x.csv", text)))


def test_label_studio_tells_both_a_side_and_a_choice_apart(write):
    data = {"question_id": "00", "messages": [{"role": "user", "content": "p"}],
            "response_1": "a", "response_2": "b"}  # fmt: skip
    side = {"from_name": "comparison", "type": "pairwise", "value": {"selected": "left"}}
    choice = {"from_name": "verdict", "type": "choices", "value": {"choices": ["both bad"]}}

    def read(*result, **more):
        tasks = [{"id": 7, "data": data, "annotations": [{"result": list(result), **more}]}]
        (entry,) = READERS["label-studio"](write("e.json", json.dumps(tasks)))
        return entry.verdict

    assert read(side, completed_by=3).by == "user 3"
    assert read(side).preference == 1.0
    assert read(choice).state == "both_bad"
    assert read(was_cancelled=True).state == "skipped"
    assert read() is None
    with pytest.raises(DataError, match=r"row 1: both a side \('left'\)"):
        read(side, choice)


def test_argilla_ranks_by_names_alone_too(write, ask):
    question = ask("Which?", "a", "b", "c")
    record = {
        "id": f"q3-{question.question_id}",
        "fields": {"prompt": "Which?", "response_1": "a", "response_2": "b", "response_3": "c"},
        "metadata": {"annotator": "{}", "guidelines": "1"},
        "responses": {
            "ranking": [{"value": ["response_2", "response_3", "response_1"], "user_id": "u"}]
        },
    }
    (entry,) = READERS["argilla"](write("a.json", json.dumps([record])))
    assert entry.verdict == Verdict.ranked([3, 1, 2], by="u")
    record["responses"]["ranking"][0]["value"] = ["response_2", "response_2"]
    with pytest.raises(DataError, match="which does not rank the 3 responses"):
        list(READERS["argilla"](write("a.json", json.dumps([record]))))


def test_labels_of_two_versions_of_one_name_are_taken_together(desk, ask, tmp_path):
    versions = [
        AnnotatorIdentity(f'{{"function":{{"v":{i}}},"name":"Mary"}}', "1", "Mary") for i in (1, 2)
    ]
    for who in versions:
        desk.keep((ask(f"Asked {who.name}", "a", "b"), Verdict.preferred(1.0)), annotator=who)
    entries = [replace(entry, where="row") for entry in desk.verdicts]
    other = type(desk)(tmp_path / "another store")
    assert take(other.kept, entries, Terms(elsewhere=True)) == Taken(labels=2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"chosen": "a", "chosen": "b", "rejected": "c"}]', "'chosen' stands there twice"),
        ("[1]", "row 1: a int, not an object with columns"),
        ("[]", "has no rows"),
        ('[{"chosen ": "a", "rejected": "c"}]', "'chosen ' has blanks around it"),
    ],
)
def test_json_is_read_as_strictly_as_prompts_are(write, content, said):
    path = write("rows.json", content)
    for read in (format_of, lambda path: list(READERS["trl"](path))):
        with pytest.raises(DataError, match=said):
            read(path)


def test_format_of_json_is_told_by_its_first_row_or_by_what_it_is(write):
    assert format_of(write("a.json", '[{"chosen": "a", "rejected": "b"}]')) == "trl"
    assert format_of(write("b.json", '{"prefopt": 1, "verdicts": []}')) == "html"
    with pytest.raises(DataError, match="first row has 'a', 'b'"):
        format_of(write("c.json", '[{"b": 1, "a": 2}]'))
