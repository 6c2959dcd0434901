"""An LLM judge within a purchase: both orders one label, held to the budget, never paid twice."""

import sqlite3
import threading

import polars as pl
import pytest

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.label_table import labels_of_others
from prefopt_core.annotation.settings import AnnotationConfig, AnnotatorConfig
from prefopt_core.annotation.table import buy_labels, judge
from prefopt_core.ground.errors import DataError, OverBudgetError, StoreError
from prefopt_core.ground.ids import candidate_id_of, prompt_id_of
from prefopt_core.labels.account import Allowance, balance_of
from prefopt_core.labels.asked import Asked
from prefopt_core.labels.purchase import buying
from prefopt_core.labels.questions import Question, Shown, Verdict
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore

pytest.importorskip("openai", reason="the extra `openai` is not installed")

PROMPTS = 6


@pytest.fixture
def tables():
    """Two responses to each prompt, all selected."""
    prompts = [[{"role": "user", "content": f"Question {i}?"}] for i in range(PROMPTS)]
    ids = [prompt_id_of(messages) for messages in prompts]
    rows = [
        (prompt_id, candidate_id_of(prompt_id, text), text)
        for i, prompt_id in enumerate(ids)
        for text in (f"good {i}", f"bad {i}")
    ]
    columns = ["prompt_id", "candidate_id", "response"]
    candidates = pl.DataFrame(rows, columns, orient="row").with_row_index("rank")
    return Asked(
        candidates.drop("response"), candidates, pl.DataFrame({"prompt_id": ids, "prompt": prompts})
    )


@pytest.fixture
def fair(loopback, better):
    """A judge that finds the good response, wherever it stands."""

    def behave(request, time):
        text = request["messages"][-1]["content"]
        return 200, loopback.answer(
            request, texts=[better("A" if text.index("good") < text.index("bad") else "B")]
        )

    loopback.behave = behave


@pytest.fixture
def settings(loopback):
    params = {"base_url": loopback.url, "model_name": "j", "concurrency": 2}
    return {"annotator": "llm-judge", "params": params | {"price_prompt": 1.0}}


@pytest.fixture
def buy(tables, settings, responses):
    def buy(labels=PROMPTS, allowance=None, **params):
        config = AnnotationConfig(**settings | {"params": settings["params"] | params})
        kept = LabelStore(responses.root)
        return buy_labels(tables, config, labels, kept, seed=0, allowance=allowance)

    return buy


def test_both_orders_are_asked_and_are_one_label(buy, loopback, fair):
    table = buy()
    assert (table.height, len(loopback.asked)) == (2 * PROMPTS, 2 * PROMPTS)
    by_pair = table.group_by("prompt_id").agg(pl.col("preference").sort())
    assert by_pair["preference"].to_list() == [[0.0, 1.0]] * PROMPTS
    assert table["cost"].to_list() == pytest.approx([10e-6] * 2 * PROMPTS)
    assert buy().equals(table)
    assert len(loopback.asked) == 2 * PROMPTS


def test_one_order_is_half_the_requests_and_both_orders_later_buy_the_rest(buy, loopback, fair):
    buy(orders="one")
    assert len(loopback.asked) == PROMPTS
    assert buy(orders="both").height == 2 * PROMPTS
    assert len(loopback.asked) == 2 * PROMPTS


def test_the_cap_in_money_ends_a_purchase_before_it_is_exceeded(buy, loopback, fair, responses):
    asked = 4e-3  # a request may cost some 1e-3, for its bytes, and costs 10e-6
    with pytest.raises(OverBudgetError, match="Raise `max_cost`"):
        buy(allowance=Allowance("a", 100, 1e-6))
    assert loopback.asked == []
    buy(allowance=Allowance("a", 100, asked))
    assert sum(10e-6 for _ in loopback.asked) <= asked


def test_where_the_cap_in_money_ends_a_purchase_its_complete_labels_are_the_result(
    buy, loopback, fair
):
    cap = 0.75e-3  # the most of one request is some 0.7e-3, so after a few answers none fits
    table = buy(allowance=Allowance("a", 100, cap), concurrency=1)
    by_pair = table.group_by("prompt_id").len()
    asked = len(loopback.asked)
    assert by_pair["len"].unique().to_list() == [2]  # of a pair with one order there is none
    assert table.height == asked - asked % 2
    assert 0 < asked < 2 * PROMPTS
    whole = buy(allowance=Allowance("a", 100, 1.0))
    assert (whole.height, len(loopback.asked)) == (2 * PROMPTS, 2 * PROMPTS)
    assert set(table["question_id"]) < set(whole["question_id"])


def test_what_a_judge_answered_for_a_grade_is_not_bought_as_a_label(
    buy, loopback, fair, tables, settings
):
    graded = judge(tables, AnnotatorConfig(**settings))
    assert len(loopback.asked) == 2 * PROMPTS
    bought = buy(allowance=Allowance("a", PROMPTS, 0.0))
    assert len(loopback.asked) == 2 * PROMPTS
    assert bought["cost"].to_list() == pytest.approx([10e-6] * 2 * PROMPTS)
    columns = ["question_id", "preference"]
    assert bought.select(columns).sort(columns).equals(graded.select(columns).sort(columns))


def test_a_purchase_that_ended_holds_nothing_while_its_error_is_looked_at(
    buy, loopback, fair, responses, settings
):
    good = loopback.behave
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=["Hm."]))
    with pytest.raises(DataError, match="no verdict to the first 8") as caught:
        buy(attempts=1)
    loopback.behave = good
    again = threading.Thread(target=buy, kwargs={"attempts": 1}, daemon=True)
    again.start()  # the frames of the error are still there
    again.join(30)
    assert not again.is_alive()
    assert caught.value


@pytest.mark.parametrize("answer", [b'{"choices": [{"message": {"content": "tru', "late"])
def test_what_may_be_billed_without_an_answer_counts_as_spent(buy, loopback, responses, answer):
    def behave(request, time):
        return loopback.stall() if answer == "late" else (200, answer)

    loopback.behave = behave
    with pytest.raises(OverBudgetError):
        buy(allowance=Allowance("team", 100, 0.01), timeout_s=0.3, concurrency=1, price_prompt=2.0)
    with LabelStore(responses.root).connected() as connection:
        spent = balance_of(connection, "team")
    assert (0.005 < spent.cost <= 0.01, spent.held_cost) == (True, 0.0)
    assert 1 < len(loopback.asked) <= 8


def test_an_answer_that_the_disk_does_not_take_counts_as_spent(buy, loopback, better, responses):
    def behave(request, time):
        with sqlite3.connect(responses.root / "responses.sqlite") as other:
            other.execute("DROP TABLE IF EXISTS requests")
        return 200, loopback.answer(request, texts=[better("A")])

    loopback.behave = behave
    with pytest.raises(StoreError):
        buy(allowance=Allowance("team", 100, 1.0), concurrency=1)
    with LabelStore(responses.root).connected() as connection:
        assert 0 < balance_of(connection, "team").cost < 1.0


@pytest.mark.parametrize("tokens", [-1_000_000, 10**30])
def test_a_number_of_tokens_that_cannot_be_is_not_believed(
    buy, loopback, better, responses, tokens
):
    def behave(request, time):
        answer = loopback.answer(request, texts=[better("A")])
        return 200, answer | {"usage": {"prompt_tokens": tokens, "completion_tokens": 1}}

    loopback.behave = behave
    buy(allowance=Allowance("team", 100, 1.0))
    with LabelStore(responses.root).connected() as connection:
        assert 0 < balance_of(connection, "team").cost < 1.0


def test_what_others_said_of_the_same_responses_is_found_in_the_label_store(
    buy, settings, fair, tables, responses
):
    own = buy()
    kept, config = LabelStore(responses.root), AnnotationConfig(**settings)
    assert labels_of_others(own, config, kept).is_empty()
    people = AnnotatorIdentity('{"people":{}}', "1")
    prompt, (one, other) = own["prompt_id"][0], own["responses"][0]
    shown = (Shown(one, "…"), Shown(other, "…"))
    with buying(kept, people) as purchase:
        for responses_shown in (shown, (shown[0], Shown("not of this run", "…"))):
            asked = Question(prompt, [{"role": "user", "content": "?"}], responses_shown)
            purchase.commit(asked, Verdict.preferred(0.0, by="Ann"))
    found = labels_of_others(own, config, kept)
    assert found.select("annotator", "by", "preference").rows() == [("people", "Ann", 0.0)]
    assert found["responses"].to_list() == [[one, other]]


def test_it_is_noted_from_which_server_labels_were_bought(buy, settings, loopback, fair, responses):
    buy()
    kept, config = LabelStore(responses.root), AnnotationConfig(**settings)
    assert kept.servers(identity(config)) == [loopback.url]


def test_an_answer_whose_verdict_a_kill_took_costs_its_verdict_what_was_paid_once(
    buy, loopback, fair, responses, monkeypatch
):
    allowance = Allowance("team", PROMPTS, 1.0)

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("prefopt_core.labels.purchase.Purchase.commit", killed)
        with pytest.raises(SystemExit):
            buy(allowance=allowance, concurrency=1)
    assert len(loopback.asked) > 0
    table = buy(allowance=allowance)
    assert len(loopback.asked) == 2 * PROMPTS
    assert table["cost"].to_list() == pytest.approx([10e-6] * 2 * PROMPTS)
    with LabelStore(responses.root).connected() as connection:
        assert balance_of(connection, "team").cost == pytest.approx(table["cost"].sum())
