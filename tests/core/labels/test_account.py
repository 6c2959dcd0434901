"""Accounts: held before anybody is asked, and never exceeded."""

import pytest

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import Allowance, Balance, opened
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.core.labels.accounts import GOOD, ME, TEAM, YOU, balance, buy
from tests.verdicts import about


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "store")


def test_what_is_held_becomes_what_is_spent_label_by_label(kept):
    with buying(kept, ME, TEAM, price=0.5) as purchase:
        purchase.hold(3)
        assert balance(kept) == Balance(0, 0.0, 3, 1.5)
        purchase.commit(about("p", "a"), GOOD)
        assert balance(kept) == Balance(1, 0.5, 2, 1.0)
        assert purchase.account.balance() == balance(kept)
    assert balance(kept) == Balance(1, 0.5, 0, 0.0)  # what was not asked for is free again


def test_a_hold_beyond_what_is_left_is_refused_and_holds_nothing(kept):
    buy(kept, "p", 7)
    message = r"4 labels are to be bought and 3 of 10 are left: 7 are bought, 0 under way from the "
    with pytest.raises(OverBudgetError, match=message + r"account 'team'\. Raise `budget`"):
        buy(kept, "q", 0, hold=4)
    assert balance(kept) == Balance(7, 0.0, 0, 0.0)
    buy(kept, "q", 3)
    with pytest.raises(OverBudgetError, match=r"^1 label is to be bought and 0 of 10 are left"):
        buy(kept, "r", 0, hold=1)


def test_what_another_purchase_holds_is_not_left(kept):
    with buying(kept, ME, TEAM) as purchase:
        purchase.hold(8)
        with pytest.raises(OverBudgetError, match="2 of 10 are left: 0 are bought, 8 under way"):
            buy(kept, "p", 3, who=YOU)
        buy(kept, "p", 2, who=YOU)
    assert balance(kept).labels == 2
    buy(kept, "p", 8)


def test_an_error_in_the_middle_frees_what_is_left_of_a_hold(kept):
    def annotate_badly():
        with buying(kept, ME, TEAM) as purchase:
            purchase.hold(5)
            purchase.commit(about("p", "a"), GOOD)
            raise RuntimeError("the annotator is ill")

    with pytest.raises(RuntimeError, match="ill"):
        annotate_badly()
    assert balance(kept) == Balance(1, 0.0, 0, 0.0)


def test_both_orders_of_two_responses_are_paid_for_once(kept):
    question = about("p", "a", "b")
    with buying(kept, ME, TEAM, price=0.5) as purchase:
        purchase.hold(2)
        purchase.commit(question, Verdict.preferred(0.9))
        purchase.commit(question.turned(), Verdict.preferred(0.2))
        assert balance(kept) == Balance(1, 0.5, 1, 0.5)
        purchase.commit(about("p", "a", "c"), Verdict("invalid"))
        assert balance(kept) == Balance(2, 1.0, 0, 0.0)  # an answer that is no verdict costs too
    (together,) = [own for key, own in kept.known(ME).items() if key[1] == ("a", "b")]
    assert [label.responses for label in together] == [("a", "b"), ("b", "a")]


def test_several_people_are_paid_each(kept):
    with buying(kept, ME, TEAM) as purchase:
        purchase.hold(2)
        for by in ("Mary", "John"):
            purchase.commit(about("p", "a", "b"), Verdict("tie", by=by))
    assert balance(kept).labels == 2


def test_the_other_order_of_a_label_that_lies_under_an_earlier_text_is_no_further_label(kept):
    named = '{{"function":{{"function":"{}"}},"name":"Mary"}}'
    before, now = (AnnotatorIdentity(named.format(f), "1", called="Mary") for f in "ab")
    question = about("p", "a", "b")
    with buying(kept, before, TEAM) as purchase:
        purchase.hold(1)
        purchase.commit(question, Verdict("tie"))
    with buying(kept, now, TEAM) as purchase:
        purchase.commit(question.turned(), Verdict("tie"))
    assert balance(kept).labels == 1


def test_the_other_order_by_another_model_of_one_name_is_no_further_label(kept):
    question = about("p", "a", "b")
    with buying(kept, ME, TEAM) as purchase:
        purchase.hold(1)
        purchase.commit(question, Verdict("tie", by="model a"))
    with buying(kept, ME, TEAM) as purchase:  # holds nothing: there is a label
        purchase.commit(question.turned(), Verdict("tie", by="model b"))
    assert balance(kept).labels == 1


def test_a_raised_budget_goes_on_with_what_is_left(kept):
    buy(kept, "p", 10)
    with pytest.raises(OverBudgetError):
        buy(kept, "q", 2)
    buy(kept, "q", 2, Allowance("team", 12))
    assert balance(kept).labels == 12
    with pytest.raises(OverBudgetError, match="0 of 5 are left: 12 are bought"):
        buy(kept, "r", 1, Allowance("team", 5))  # a lowered one has nothing left


def test_accounts_are_apart_and_without_one_nothing_is_counted(kept):
    buy(kept, "p", 10)
    buy(kept, "q", 10, Allowance("other", 10))
    buy(kept, "r", 99, allowance=None)
    assert [balance(kept, name).labels for name in ("team", "other", "")] == [10, 10, 0]


def test_questions_left_for_people_hold_their_labels_until_they_answer(kept):
    asked = [(about("p", "a", "b"), 2), (about("q", "a", "b"), 1)]
    with buying(kept, ME, TEAM) as purchase:
        purchase.hold(3)
        purchase.publish(asked)
        assert balance(kept) == Balance(0, 0.0, 3, 0.0, 3)  # once, not as a hold and as questions
        assert purchase.published() == {
            ("p", ("a", "b")): (2, "team"),
            ("q", ("a", "b")): (1, "team"),
        }
    assert balance(kept).held_labels == 3  # no process is there, and they are held
    with pytest.raises(OverBudgetError, match="7 of 10 are left: 0 are bought, 3 under way"):
        buy(kept, "r", 8, who=YOU)
    with buying(kept, ME, TEAM) as purchase:
        purchase.commit(asked[0][0], Verdict("tie", by="Mary"))
    assert balance(kept) == Balance(1, 0.0, 2, 0.0, 2)
    with buying(kept, ME, TEAM) as purchase:
        purchase.commit(asked[0][0], Verdict("skipped", by="John"))
        purchase.commit(asked[0][0], Verdict("tie", by="Ann"))  # one more than was wanted
    assert balance(kept) == Balance(3, 0.0, 1, 0.0, 1)


def test_questions_that_are_published_again_are_there_once(kept):
    for _ in range(2):
        with buying(kept, ME, TEAM) as purchase:
            purchase.publish([(about("p", "b", "a"), 1), (about("q", "a", "b"), 1)])
    assert balance(kept).held_labels == 2
    with kept.connected() as connection:
        rows = connection.execute("SELECT prompt_id, responses, position FROM questions")
        assert sorted(rows) == [("p", '["b","a"]', 0), ("q", '["a","b"]', 1)]


def test_answers_of_people_stay_paid_when_a_run_names_the_people(kept):
    people, panel = (
        AnnotatorIdentity('{"people":{}}', "1"),
        AnnotatorIdentity('{"name":"panel","people":{}}', "1", "panel", ('{"people":{}}',)),
    )
    asked = about("p", "a", "b")
    with buying(kept, people, TEAM) as purchase:
        purchase.hold(1)
        purchase.publish([(asked, 1)])
        purchase.commit(asked, Verdict("tie", by="Mary"))
    assert balance(kept) == Balance(1, 0.0, 0, 0.0)
    with buying(kept, panel, Allowance("other", 5)) as purchase:
        assert purchase.known().keys() == {asked.compared}
    assert balance(kept) == Balance(1, 0.0, 0, 0.0)  # not open again
    assert kept.known(people).keys() == {asked.compared}


def test_money_can_be_held_though_a_lowered_budget_of_labels_is_overdrawn(kept):
    buy(kept, "p", 8)
    with opened(kept, Allowance("team", 5, 2.0)) as account, account.reserving(1.5) as paid:
        paid(1.0)
    assert balance(kept) == Balance(8, 1.0, 0, 0.0)


def test_questions_left_for_people_hold_their_price_until_they_answer(kept):
    team = Allowance("team", 10, 4.0)
    with buying(kept, ME, team, price=1.5) as purchase:
        purchase.hold(2)
        purchase.publish([(about("p", "a", "b"), 1), (about("q", "a", "b"), 1)])
    assert balance(kept) == Balance(0, 0.0, 2, 3.0, 2)
    with (
        opened(kept, team) as account,
        pytest.raises(OverBudgetError, match="1 of 4 is left: 0 is spent, 3 under way"),
        account.reserving(1.25),
    ):
        pass
    with buying(kept, ME, team, price=1.5) as purchase:
        purchase.commit(about("p", "a", "b"), Verdict("tie", by="Mary"))
    assert balance(kept) == Balance(1, 1.5, 1, 1.5, 1)


def test_who_wants_more_people_takes_a_question_over_and_pays_for_it(kept):
    question = about("p", "a", "b")

    def leave(account, people, labels):
        with buying(kept, ME, Allowance(account, 10)) as purchase:
            purchase.hold(labels)
            purchase.publish([(question, people)])

    leave("few", 1, 1)
    leave("many", 3, 3)
    assert (balance(kept, "few").held_labels, balance(kept, "many").held_labels) == (0, 3)
    leave("few", 1, 0)  # and does not lower what another account asks for
    assert (balance(kept, "few").held_labels, balance(kept, "many").held_labels) == (0, 3)


def test_a_label_whose_hold_another_process_ended_has_to_fit_into_what_is_left(kept):
    with buying(kept, ME, TEAM) as purchase:
        purchase.hold(9)
        purchase.commit(about("p", "r0"), GOOD)
        with kept.connected() as connection:  # as if this process had seemed dead
            connection.execute("DELETE FROM holds")
        buy(kept, "q", 8, who=YOU)
        purchase.commit(about("p", "r1"), GOOD)
        with pytest.raises(OverBudgetError, match="1 label is to be bought and 0 of 10 are left"):
            purchase.commit(about("p", "r2"), GOOD)
    assert balance(kept).labels == sum(count for *_, count in kept.counts()) == 10
