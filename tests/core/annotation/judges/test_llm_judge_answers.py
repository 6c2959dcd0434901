"""Answers of a judge: each is bought once and kept, and money is never exceeded."""

import json
import threading
from contextlib import contextmanager

import pytest

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.ground.spending import Spending, Usage, adding_up, paying_from, spend
from prefopt_core.models.server.prices import Prices

pytest.importorskip("openai", reason="the extra `openai` is not installed")


def test_an_answer_is_on_disk_before_its_verdict_is_given(judging, loopback, responses, says,
                                                          better):  # fmt: skip
    says(better("A"))
    for number, _ in enumerate(judging(concurrency=1), start=1):
        assert responses.bought()[0].responses >= number


def test_what_was_bought_is_not_paid_again_and_its_verdict_keeps_its_cost(
    judge, loopback, says, better
):
    says("Hm.", better("A"))
    with adding_up() as spent:
        first = judge(price_prompt=1.0, price_completion=2.0, concurrency=1)
    assert spent.cost == pytest.approx(4 * (10 * 1 + 5 * 2) / 1e6)
    assert [v.usage.cost for v in first] == pytest.approx([40e-6, 20e-6, 20e-6])
    asked = len(loopback.asked)
    with adding_up() as spent:
        again = judge(price_prompt=1.0, price_completion=2.0, api_key_env="NOT_SET_AT_ALL")
    assert [v.preference for v in again] == [v.preference for v in first]
    assert [v.usage for v in again] == [v.usage for v in first]
    assert (len(loopback.asked), spent.cost) == (asked, 0)


def test_a_header_that_reads_answers_anew_costs_nothing(judge, loopback, says, pairs, write):
    body = "{% block user %}{{ responses[0].text }} or {{ responses[1].text }}?{% endblock %}"
    says("The left one.")
    header = "ask: compare\nread: token\nmarks: {first: Left, second: Right}"
    template = str(write("mine.jinja", f"---\n{header}\n---\n{body}"))
    assert judge(pairs[:1], template=template, attempts=1)[0].state == "invalid"
    write("mine.jinja", f"---\n{header.replace('Left', 'The left one')}\n---\n{body}")
    with adding_up() as spent:
        (verdict,) = judge(pairs[:1], template=template, attempts=1, top_logprobs=5)
    assert (verdict.preference, spent.responses, len(loopback.asked)) == (1.0, 0, 1)


def test_a_question_that_comes_twice_is_bought_once(judge, loopback, says, better, pairs):
    says(better("A"))
    first, _, again = judge([pairs[0], pairs[1], pairs[0]])
    assert (first.preference, len(loopback.asked)) == (again.preference, 2)
    assert again.usage == Usage(0, 0, 0.0)


def test_who_takes_no_more_verdicts_buys_few_more(judging, loopback, says, better, question_about):
    says(better("A"))
    verdicts = judging([question_about(f"{i}?", "a", "b") for i in range(100)], concurrency=2)
    next(verdicts)
    verdicts.close()
    assert len(loopback.asked) <= 2 * 4 + 1
    count = len(loopback.asked)
    threading.Event().wait(0.2)
    assert len(loopback.asked) == count


def test_no_questions_ask_nobody(judge, loopback):
    assert (judge([]), loopback.asked) == ([], [])


def test_no_request_goes_out_that_the_budget_cannot_pay(judging, loopback, says, better, write):
    said = better("A")
    says(said)
    asked = []

    class Purse:
        """Has the money for one request at a time, and no more than two."""

        held, paid = 0.0, []

        @contextmanager
        def reserving(self, most):
            if len(self.paid) == 2:
                raise OverBudgetError("nothing is left")
            self.held = most
            yield self.paid.append

    purse = Purse()
    with paying_from(purse), pytest.raises(OverBudgetError):
        asked.extend(judging(concurrency=1, price_prompt=1.0, price_completion=2.0))
    assert (len(asked), len(loopback.asked)) == (2, 2)
    assert purse.paid == [pytest.approx(20e-6)] * 2
    prompt = json.dumps(loopback.asked[0]["messages"])
    assert purse.held >= (len(prompt) + 2 * 512) / 1e6


def test_money_that_others_hold_and_do_not_need_is_waited_for(judge, loopback, better, pairs):
    class Purse:
        """Has the money for the most of one request and a half."""

        left, refused = 0.003, 0

        @contextmanager
        def reserving(self, most):
            if most > self.left:
                Purse.refused += 1
                raise OverBudgetError("too little is left")
            self.left -= most
            costs = []
            yield costs.append
            self.left += most - sum(costs)

    def behave(request, time):
        threading.Event().wait(0.05)
        return 200, loopback.answer(request, texts=[better("A")])

    loopback.behave = behave
    with paying_from(Purse()):
        verdicts = judge(concurrency=3, price_prompt=1.0, price_completion=2.0)
    assert [verdict.preference for verdict in verdicts] == [1.0] * 3
    assert Purse.refused >= 2
    assert loopback.busiest == 1


def test_prices_are_those_of_the_table_for_hosted_models_alone():
    hosted = Prices(None, None, "https://api.openai.com/v1", "gpt-4.1")
    assert hosted.cost(1000, 500) == pytest.approx(0.006)
    assert {table.split()[0] for table in hosted.tables} == {"genai-prices"}
    here = Prices(None, None, "http://127.0.0.1:8000/v1", "gpt-4.1")
    assert (here.cost(1000, 500), here.tables) == (None, frozenset())
    own = Prices(1.0, None, "https://api.openai.com/v1", "gpt-4.1")
    assert (own.cost(1000, 500), own.tables) == (0.001, frozenset())


def test_where_a_cost_is_shown_the_table_is_named():
    with adding_up() as spent:
        spend(Spending(responses=1, cost=0.5, priced_by=frozenset({"genai-prices 0.2.3"})))
    assert str(spent).endswith("0.5 US dollars by genai-prices 0.2.3")


def test_an_answer_with_half_of_a_character_is_read_and_not_bought_again(judge, loopback, better):
    def behave(request, time):
        answer = json.dumps(loopback.answer(request, texts=["HERE " + better("A")]))
        return 200, answer.replace("HERE", "\\ud83d").encode()

    loopback.behave = behave
    assert {verdict.preference for verdict in judge(orders="one")} == {1.0}
    assert loopback.times.total() == 3
