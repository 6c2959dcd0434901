"""What there is of each annotator; an edited function's labels are named, with what to do."""

import pytest

from prefopt_core.annotation.identity import doubts_of_labels, identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.ground.errors import DataError
from prefopt_core.labels.holdings import give_name, holdings, in_words
from prefopt_core.labels.kept import Which, forget, verdicts_kept
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.reports.labels import holding_in_lines
from tests.asked import PEOPLE, Labels, question


@pytest.fixture
def labels(tmp_path):
    return Labels(tmp_path / "store")


def judge(folder, text, **more):
    (folder / "judge.py").write_text(f"def score(prompt, response):\n    return {text}\n")
    params = {"function": f"{folder / 'judge.py'}:score"}
    return AnnotationConfig(annotator="function", params=params, **more)


def test_labels_of_an_edited_function_are_named_with_both_choices(labels, tmp_path):
    first = judge(tmp_path, "1.0")
    labels.keep((question("p", "a"), Verdict.scored(1.0)), annotator=identity(first))
    assert list(doubts_of_labels(first, labels.kept)) == []

    edited = judge(tmp_path, "2.0")
    (doubt,) = doubts_of_labels(edited, labels.kept)
    (held,) = holdings(labels.kept)
    assert "1 labels were bought" in doubt
    assert "they would be bought again" in doubt
    assert f"`prefopt labels name {held.id} NAME --yes`" in doubt

    give_name(labels.kept, held, "grace")
    named = judge(tmp_path, "2.0", name="grace")
    assert len(labels.kept.known(identity(named))) == 1
    (doubt,) = doubts_of_labels(named, labels.kept)
    assert "1 labels of 'grace' were given before" in doubt
    assert "Change `annotation.guidelines` to buy them anew" in doubt


def test_labels_of_several_other_functions_are_one_doubt_about_the_newest(labels, tmp_path):
    for text in ("1.0", "2.0"):
        config = judge(tmp_path, text)
        labels.keep((question("p", "a"), Verdict.scored(1.0)), annotator=identity(config))
    (doubt,) = doubts_of_labels(judge(tmp_path, "3.0"), labels.kept)
    assert "another function, template or guidelines, and 1 more" in doubt
    assert "If it was an earlier version of this one" in doubt


def test_once_bought_again_the_earlier_version_is_history(labels, tmp_path):
    for text in ("1.0", "2.0"):
        config = judge(tmp_path, text)
        labels.keep((question("p", "a"), Verdict.scored(1.0)), annotator=identity(config))
    assert list(doubts_of_labels(config, labels.kept)) == []


def test_another_function_is_no_earlier_version(labels, tmp_path):
    labels.keep(
        (question("p", "a"), Verdict.scored(1.0)), annotator=identity(judge(tmp_path, "1.0"))
    )
    (tmp_path / "other.py").write_text("def grade(prompt, response):\n    return 0.0\n")
    other = {"function": f"{tmp_path / 'other.py'}:grade"}
    config = AnnotationConfig(annotator="function", params=other)
    assert list(doubts_of_labels(config, labels.kept)) == []


def test_a_label_that_the_name_has_already_stays_where_it_is(labels):
    here, there = AnnotatorIdentity('{"f":{}}', "1"), AnnotatorIdentity(
        '{"f":{},"name":"grace"}', "1", "grace"
    )  # fmt: skip
    for who, score in ((here, 1.0), (there, 2.0)):
        labels.keep((question("p", "a"), Verdict.scored(score)), annotator=who)
    mine = next(held for held in holdings(labels.kept) if held.annotator == here.name)
    assert give_name(labels.kept, mine, "grace") == 0
    assert [entry.verdict.scores for entry in verdicts_kept(labels.kept, Which("grace"))] == [
        (2.0,)
    ]


def test_a_question_that_the_name_is_asked_already_holds_its_budget_once(labels):
    panel = AnnotatorIdentity('{"name":"panel","people":{}}', "1", "panel")
    for who in (PEOPLE, panel):
        labels.ask(question("p", "a", "b"), annotator=who)
    assert labels.balance.held_labels == 2
    mine = next(held for held in holdings(labels.kept) if held.annotator == PEOPLE.name)
    give_name(labels.kept, mine, "panel")
    assert labels.balance.held_labels == 1


def test_labels_of_one_account_are_counted_with_it(labels):
    labels.ask(question("p", "a", "b"), wanted=2)
    (held,) = holdings(labels.kept)
    assert (held.labels, held.awaited, held.accounts) == (0, 2, [])


def test_both_orders_of_a_pair_are_one_label_and_two_verdicts(labels):
    pair = question("p", "a", "b")
    said = [(pair, Verdict.preferred(0.9)), (pair.turned(), Verdict.preferred(0.2))]
    labels.keep(*said, (question("q", "a", "b"), Verdict("tie")))
    (held,) = holdings(labels.kept)
    assert (held.labels, held.verdicts) == (2, 3)
    assert "2 labels by 3 verdicts: 2 given, 1 tie" in " ".join(holding_in_lines(held))


def test_nothing_is_forgotten_of_others(labels):
    others = AnnotatorIdentity('{"other":{}}', "1")
    asked = question("p", "a", "b")
    labels.keep((asked, Verdict("tie", by="ada")))
    labels.keep((asked, Verdict("tie")), annotator=others)
    assert forget(labels.kept, Which("people", state="both_bad")) == 0
    assert forget(labels.kept, Which("people")) == 1
    (left,) = labels.verdicts
    assert (left.annotator, left.question) == (others.name, asked)
    with pytest.raises(DataError, match="no labels of 'people'"):
        forget(labels.kept, Which("people"))


def test_labels_of_schema_one_have_no_texts_and_are_shown_by_their_ids(tmp_path):
    kept = LabelStore(tmp_path)
    with buying(kept, AnnotatorIdentity("me", "1")) as purchase:
        purchase.commit(question("p", "a"), Verdict.scored(1.0))
    with kept.connected() as connection:
        connection.execute("DELETE FROM texts")
    (entry,) = verdicts_kept(kept, Which())
    assert (entry.question, entry.verdict.scores) == (None, (1.0,))
    assert in_words(entry.annotator) == "me"


def test_labels_of_another_server_are_told_with_what_to_do(labels):
    def judge(address, model="default"):
        params = {"model_name": model, "base_url": address}
        return AnnotationConfig(annotator="llm-judge", params=params)

    here, there = "http://127.0.0.1:8000/v1", "http://127.0.0.1:8001/v1"
    who = identity(judge(here))
    labels.keep((question("p", "a", "b"), Verdict.preferred(1.0)), annotator=who)
    labels.kept.note_server(who, here)
    assert list(doubts_of_labels(judge(here), labels.kept)) == []
    assert list(doubts_of_labels(judge(there, "other"), labels.kept)) == []
    (doubt,) = doubts_of_labels(judge(there), labels.kept)
    assert f"1 labels of this model's name were bought from {here}, and count" in doubt
    assert f"the model at {there}" in doubt


def test_labels_of_another_template_of_a_judge_are_named(labels, tmp_path):
    def judge(text, model="m"):
        (tmp_path / "rubric.txt").write_text(text)
        params = {
            "guidelines": str(tmp_path / "rubric.txt"),
            "model_name": model,
            "base_url": "http://127.0.0.1:9/v1",
        }
        return AnnotationConfig(annotator="llm-judge", params=params)

    asked = (question("p", "a", "b"), Verdict.preferred(1.0))
    labels.keep(asked, annotator=identity(judge("Be strict.")))
    (doubt,) = doubts_of_labels(judge("Be kind."), labels.kept)
    assert "1 labels were bought" in doubt
    assert "do not count" in doubt
    assert list(doubts_of_labels(judge("Be kind.", model="other"), labels.kept)) == []
