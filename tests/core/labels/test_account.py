"""Accounts: held before anybody is asked, never exceeded, whoever is killed meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.ground.spending import paying_from, reserving
from prefopt_core.labels.account import Allowance, Balance, balance_of, opened
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import about

ME, YOU = AnnotatorIdentity("me", "1"), AnnotatorIdentity("you", "1")
TEAM = Allowance("team", 10)
GOOD = Verdict.scored(1.0)

IMPORTS = """
import sys, time
from pathlib import Path
from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.labels.account import Allowance, opened
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from tests.verdicts import about

kept = LabelStore(Path(sys.argv[1]))
"""
BUY = f"""
{IMPORTS}
name, size, go_on = sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
allowance = Allowance("team", 60, 13.0)
print("ready", flush=True)
while not go_on.exists():
    time.sleep(0.001)
bought = 0
for number in range(60):
    try:
        with buying(kept, AnnotatorIdentity(name, "1"), allowance, price=0.25) as purchase:
            purchase.hold(size)
            for i in range(size):
                purchase.commit(about(f"p{{number}}", f"r{{i}}"), Verdict.scored(1.0))
                bought += 1
    except OverBudgetError:
        break
print(bought)
"""
HANG = f"""
{IMPORTS}
allowance = Allowance("team", 10, 8.0)
with buying(kept, AnnotatorIdentity("me", "1"), allowance, price=0.5) as purchase:
    purchase.hold(6)
    for i in range(2):
        purchase.commit(about("p", f"r{{i}}"), Verdict.scored(1.0))
    with purchase.account.reserving(1.5), purchase.account.reserving(0.25) as paid:
        paid(0.125)
        print("ready", flush=True)
        time.sleep(60)
"""


@pytest.fixture
def kept(tmp_path):
    return LabelStore(tmp_path / "store")


def balance(kept, account="team"):
    with kept.connected() as connection:
        return balance_of(connection, account)


def buy(kept, prompt, responses, allowance=TEAM, who=ME, price=0.0, hold=None):
    with buying(kept, who, allowance, price=price) as purchase:
        purchase.hold(responses if hold is None else hold)
        for number in range(responses):
            purchase.commit(about(prompt, f"r{number}"), GOOD)


# --- labels -------------------------------------------------------------------------------------


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


# --- money --------------------------------------------------------------------------------------


def test_labels_cost_their_price_and_money_is_a_budget_of_its_own(kept):
    rich = Allowance("team", 100, 1.75)
    buy(kept, "p", 2, rich, price=0.5)
    message = r"1 may be spent next, and 0\.75 of 1\.75 is left: 1 is spent, 0 under way.*max_cost"
    with pytest.raises(OverBudgetError, match=message):
        buy(kept, "q", 0, rich, price=0.5, hold=2)
    buy(kept, "q", 1, rich, price=0.5)
    assert balance(kept) == Balance(3, 1.5, 0, 0.0)


def test_a_budget_that_prices_fill_exactly_is_enough(kept):
    buy(kept, "p", 10, Allowance("team", 10, 1.0), price=0.1)  # ten times 0.1 is not 1.0 in binary
    with pytest.raises(OverBudgetError):
        buy(kept, "q", 1, Allowance("team", 11, 1.0), price=0.1)


def test_a_request_costs_what_it_cost_and_what_else_was_held_is_free(kept):
    allowance = Allowance("team", 0, 2.0)
    with opened(kept, allowance) as account, paying_from(account):
        with reserving(1.5) as paid:
            assert balance(kept) == Balance(0, 0.0, 0, 1.5)
            message = r"1 may be spent next, and 0\.5 of 2 is left"
            with pytest.raises(OverBudgetError, match=message), reserving(1.0):
                pytest.fail("nothing may be asked")
            paid(0.25)
            paid(0.5)  # it was tried twice
        assert balance(kept) == Balance(0, 0.75, 0, 0.0)
        with suppress(ConnectionError), reserving(1.25) as paid:
            paid(0.125)
            raise ConnectionError
        with reserving(1.0):
            pass  # it never got an answer, for free
        assert balance(kept) == Balance(0, 0.875, 0, 0.0)


def test_without_a_budget_nothing_is_held(kept):
    with reserving(1e9) as paid:
        paid(1e9)
    assert not kept.root.exists()


def test_requests_of_many_threads_never_hold_more_than_there_is(kept):
    allowance, most, refused = Allowance("team", 0, 1.0), [], []
    together = threading.Barrier(8)

    def request(account):
        together.wait()
        for _ in range(4):
            try:
                with account.reserving(0.25) as paid:
                    most.append(account.balance())
                    paid(0.0625)
            except OverBudgetError:
                refused.append(1)

    with opened(kept, allowance) as account, ThreadPoolExecutor(8) as pool:
        list(pool.map(request, [account] * 8))
    assert all(own.cost + own.held_cost <= 1.0 for own in most)
    assert balance(kept) == Balance(0, 0.0625 * len(most), 0, 0.0)
    assert len(most) + len(refused) == 32


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6), st.integers(0, 12))
def test_whatever_is_wanted_the_budget_holds(tmp_path_factory, wants, budget):
    kept, spent = LabelStore(tmp_path_factory.mktemp("labels")), 0
    allowance = Allowance("team", budget, 2.0 * budget)
    for number, (held, bought) in enumerate(wants):
        try:
            buy(kept, f"p{number}", min(held, bought), allowance, price=2.0, hold=held)
        except OverBudgetError:
            assert held > budget - spent
        else:
            spent += min(held, bought)
        assert balance(kept) == Balance(spent, 2.0 * spent, 0, 0.0)
    assert spent <= budget


# --- processes ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_eight_processes_that_buy_at_once_never_exceed_their_account(kept, start, tmp_path):
    # 60 labels, or 13.0 / 0.25 = 52; `python -O` must not make a difference
    sizes = [1, 2, 3, 1, 2, 3, 1, 2]
    processes = [
        start(BUY, kept.root, f"annotator {i}", size, tmp_path / "go-on", PYTHONOPTIMIZE=str(i % 2))
        for i, size in enumerate(sizes)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go-on").touch()
    seen = []
    while any(process.poll() is None for process in processes):
        seen.append(balance(kept))
    bought = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert max(own.labels + own.held_labels for own in seen) <= 52
    assert max(own.cost + own.held_cost for own in seen) <= 13.0
    # Whoever buys one at a time ends when nothing is left.
    assert balance(kept) == Balance(52, 13.0, 0, 0.0)
    assert sum(bought) == sum(count for *_, count in kept.counts()) == 52
    assert [*kept.root.glob("locks/holder-*")] == []


def test_of_a_killed_process_labels_are_free_and_reserved_money_counts_as_spent(kept, start):
    process = start(HANG, kept.root)
    assert process.stdout.readline() == "ready\n"
    allowance = Allowance("team", 10, 8.0)
    alive = Balance(2, 1.0, 4, 4 * 0.5 + 1.5 + 0.25)
    assert balance(kept) == alive
    with pytest.raises(OverBudgetError, match="2 are bought, 4 under way"):
        buy(kept, "q", 5, allowance, YOU)
    assert balance(kept) == alive  # a process that lives keeps what it holds
    process.kill()
    process.wait(10)
    buy(kept, "q", 5, allowance, YOU)
    # Labels: the two that arrived. Money: theirs, and all that was reserved for requests, whose
    # answers nobody has seen; not the labels that were never asked for.
    assert balance(kept) == Balance(2 + 5, 2 * 0.5 + 1.5 + 0.25, 0, 0.0)
    assert [*kept.root.glob("locks/holder-*")] == []


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
