"""What a judge on a server is asked, what comes of it, and what is bought."""

import json
import math
import threading
from contextlib import contextmanager

import pytest

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.evaluation.settings import EvaluationConfig
from prefopt_core.ground.errors import ConfigError, OverBudgetError, ServerError
from prefopt_core.ground.spending import Spending, Usage, adding_up, paying_from, spend
from prefopt_core.models.server.prices import Prices

pytest.importorskip("openai", reason="the extra `openai` is not installed")


# --- what is asked ----------------------------------------------------------------------------


def test_a_judge_is_shown_the_prompt_and_both_responses_in_their_order(
    judge, loopback, says, better, question_about
):
    says(better("A"))
    asked = question_about("Why is the sky blue?", "Rayleigh.", "Paint.")
    judge([asked, asked.turned()])
    first, second = sorted(
        (request["messages"][-1]["content"] for request in loopback.asked),
        key=lambda text: text.index("Paint.") < text.index("Rayleigh."),
    )
    assert first.index("sky blue") < first.index("Rayleigh.") < first.index("Paint.")
    assert second.index("Paint.") < second.index("Rayleigh.")


def test_a_request_has_the_settings_and_no_more(judge, loopback, pairs, says, better):
    says(better("A"))
    judge(pairs[:1], temperature=None, max_new_tokens=9, length_field="max_completion_tokens",
          seeded=False, extra_body={"reasoning_effort": "low"})  # fmt: skip
    (request,) = loopback.asked
    assert [message["role"] for message in request.pop("messages")] == ["system", "user"]
    assert request == {"model": "j", "max_completion_tokens": 9, "reasoning_effort": "low"}


def test_probabilities_are_asked_for_where_a_token_is_read(judge, loopback, pairs, says):
    says("m")
    for top_logprobs in (7, 0):
        judge(pairs[:1], template="one-token", max_new_tokens=1, top_logprobs=top_logprobs)
    assert [request.get("top_logprobs") for request in loopback.asked] == [7, None]
    assert [request.get("logprobs") for request in loopback.asked] == [True, None]


def test_guidelines_are_shown_to_the_judge(judge, loopback, pairs, says, better, write):
    says(better("A"))
    judge(pairs[:1], guidelines=str(write("rules.txt", "Be strict about {{ facts }}.\n")))
    assert "Be strict about {{ facts }}." in loopback.asked[0]["messages"][-1]["content"]


# --- what comes of it -------------------------------------------------------------------------


def test_verdicts_come_in_the_order_of_the_questions(judge, loopback, question_about, better):
    asked = [question_about(f"{i}?", f"good {i}", f"bad {i}") for i in range(20)]
    mixed = [each.turned() if n % 3 else each for n, each in enumerate(asked)]

    def behave(request, time):
        text = request["messages"][-1]["content"]
        threading.Event().wait(0.03 * (hash(text) % 5))
        good_first = text.index("good") < text.index("bad")
        return 200, loopback.answer(request, texts=[better("A" if good_first else "B")])

    loopback.behave = behave
    verdicts = judge(mixed, concurrency=7)
    assert [v.preference for v in verdicts] == [0.0 if n % 3 else 1.0 for n in range(20)]
    assert {v.by for v in verdicts} == {"j"}
    assert json.loads(verdicts[0].why)["reason"] == "So it is."


@pytest.mark.parametrize(("mark", "state"), [("tie", "tie"), ("neither", "both_bad")])
def test_a_judge_may_find_both_alike_or_both_bad(judge, says, better, mark, state):
    says(better(mark))
    assert {verdict.state for verdict in judge()} == {state}


def test_a_response_is_scored_by_the_rubric(judge, says, question_about):
    says('{"reason": "Fine.", "score": 7.5}')
    (verdict,) = judge([question_about("Why?", "So.")], ask="score", template="rubric")
    assert verdict.scores == (7.5,)


def test_the_probability_is_that_of_the_verdicts_tokens(judge, says, pairs):
    likely = {"m": 0.6, "M": 0.2, " M": 0.1, "The": 0.1}
    top = [{"token": token, "logprob": math.log(p)} for token, p in likely.items()]
    says("m", logprobs={"content": [{**top[0], "top_logprobs": top}]})
    (verdict,) = judge(pairs[:1], template="one-token")
    assert verdict.preference == pytest.approx(0.6 / 0.9)


def test_a_logprob_that_is_no_number_leaves_the_answer_countable(judge, says, pairs, responses):
    likely = {"m": -0.1, "M": float("-inf"), "n": float("nan")}
    top = [{"token": token, "logprob": logp} for token, logp in likely.items()]
    says("m", logprobs={"content": [{"token": "m", "logprob": -0.1, "top_logprobs": top}]})
    assert [v.preference for v in judge(pairs[:1], template="one-token")] == [1.0]
    assert responses.bought()[0].responses == 1


def test_without_probabilities_the_verdict_is_certain(judge, says, pairs):
    says("M", logprobs={"tokens": ["M"], "odd": 1})
    assert judge(pairs[:1], template="one-token")[0].preference == 0.0


# --- answers that are no verdict --------------------------------------------------------------

NO_VERDICT = {
    "empty": ({}, "", ""),
    "refused": ({"message": {"content": None, "refusal": "I cannot."}}, "", "(refusal) I cannot."),
    "filtered": ({"finish_reason": "content_filter"}, "I wa", "(content_filter) I wa"),
    "cut JSON": ({"finish_reason": "length"}, '{"reason": "Beca', '(length) {"reason": "Beca'),
    "cut off": ({"finish_reason": "length"}, '{"better": "A"} or', '(length) {"better": "A"} or'),
    "another form": ({}, "I like the first.", "I like the first."),
    "another mark": ({}, '{"better": "C"}', '{"better": "C"}'),
    "no text in the field": ({}, '{"better": ["A"]}', '{"better": ["A"]}'),
    "thoughts only": ({}, '<think>{"better": "A"}', '<think>{"better": "A"}'),
}


@pytest.mark.parametrize(("choice", "text", "why"), NO_VERDICT.values(), ids=NO_VERDICT)
def test_an_answer_that_is_no_verdict_is_asked_for_again_then_kept_as_invalid(
    judge, loopback, says, pairs, choice, text, why
):
    says(text, **choice)
    (verdict,) = judge(pairs[:1], attempts=3)
    assert (verdict.state, verdict.why) == ("invalid", why)
    assert len(loopback.asked) == 3
    assert verdict.usage.prompt_tokens == 30


def test_asked_again_the_judge_sees_what_it_said(judge, loopback, says, better, pairs):
    says("The first, I think.", better("A"))
    (verdict,) = judge(pairs[:1])
    assert verdict.preference == 1.0
    _, said, again = loopback.asked[1]["messages"][-3:]
    assert said == {"role": "assistant", "content": "The first, I think."}
    assert "not the JSON" in again["content"]


def test_asked_again_after_silence_no_two_messages_are_the_users(
    judge, loopback, says, better, pairs
):
    says("", better("B"))
    assert judge(pairs[:1])[0].preference == 0.0
    assert [message["role"] for message in loopback.asked[1]["messages"]] == ["system", "user"]


# --- what is bought ---------------------------------------------------------------------------


def test_an_answer_is_on_disk_before_its_verdict_is_given(judging, loopback, responses, says,
                                                          better):  # fmt: skip
    says(better("A"))
    for number, _ in enumerate(judging(concurrency=1), start=1):
        assert responses.bought()[0].responses >= number


def test_what_was_bought_is_not_bought_again_and_costs_nothing(judge, loopback, says, better):
    says("Hm.", better("A"))
    with adding_up() as spent:
        first = judge(price_prompt=1.0, price_completion=2.0, concurrency=1)
    assert spent.cost == pytest.approx(4 * (10 * 1 + 5 * 2) / 1e6)
    assert [v.usage.cost for v in first] == pytest.approx([40e-6, 20e-6, 20e-6])
    asked = len(loopback.asked)
    with adding_up() as spent:
        again = judge(price_prompt=1.0, price_completion=2.0, api_key_env="NOT_SET_AT_ALL")
    assert [v.preference for v in again] == [v.preference for v in first]
    assert {v.usage for v in again} == {Usage(0, 0, 0.0)}
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


# --- trouble ----------------------------------------------------------------------------------

TROUBLE = {
    "500": lambda server: (500, {"error": {"message": "oh"}}),
    "429": lambda server: (429, {"error": {"message": "slow"}}, {"Retry-After": "0.01"}, 0),
    "stall": lambda server: server.stall(),
    "garbage": lambda server: (200, b"\x00\xff garbage"),
    "cut JSON": lambda server: (200, b'{"choices": [{"index": 0, "mess'),
    "connection lost": lambda server: (200, {"choices": []}, {}, 15),
    "an error inside a 200": lambda server: (200, {"error": {"message": "oh"}}),
    "an error as a text": lambda server: (
        200, {"choices": [{"finish_reason": "stop", "message": {"content": "502 Bad Gateway"}}]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_is_waited_out(judge, loopback, better, trouble):
    loopback.behave = lambda request, time: (
        trouble(loopback) if time == 1 else (200, loopback.answer(request, texts=[better("A")]))
    )
    timeout_s = 2 if trouble is TROUBLE["stall"] else 60
    assert [verdict.preference for verdict in judge(timeout_s=timeout_s)] == [1.0] * 3


def test_after_the_last_attempt_the_verdicts_before_it_were_given(judging, loopback, better):
    def behave(request, time):
        if "Question 2?" in request["messages"][-1]["content"]:
            return 502, {"error": {"message": "the model fell over"}}
        return 200, loopback.answer(request, texts=[better("A")])

    loopback.behave = behave
    verdicts, given = judging(max_attempts=2, concurrency=1), []
    with pytest.raises(ServerError, match=r"HTTP 502.*2 of 3 answers are kept") as caught:
        given.extend(verdicts)
    assert "lower `params.concurrency`" in str(caught.value)
    assert len(given) == 2
    loopback.asked.clear()
    loopback.behave = lambda request, time: (
        200, loopback.answer(request, texts=[better("B")]),
    )  # fmt: skip
    assert [verdict.preference for verdict in judging()] == [1.0, 1.0, 0.0]
    assert len(loopback.asked) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "`top_logprobs`"), (401, "`params.api_key_env`"), (404, "`params.model_name`")],
)
def test_a_refused_request_ends_it_with_the_settings_to_look_at(judge, loopback, status, advice):
    loopback.behave = lambda request, time: (status, {"error": {"message": "No."}})
    with pytest.raises(ConfigError, match=rf"refuses .*HTTP {status}") as told:
        judge(concurrency=1)
    assert advice in str(told.value)
    assert len(loopback.asked) == 1


def test_a_key_that_is_not_there_is_told(judge):
    with pytest.raises(ConfigError, match=r"NO_SUCH_KEY, which `params\.api_key_env` names"):
        judge(api_key_env="NO_SUCH_KEY")


# --- who the judge is -------------------------------------------------------------------------


def config(**params):
    params = {"base_url": "http://127.0.0.1:1/v1", "model_name": "j"} | params
    return AnnotationConfig(annotator="llm-judge", params=params)


def test_the_content_of_a_template_is_in_the_key_not_its_path(write):
    texts = {name: write(name, f"---\n{name}\n---\n") for name in ("a.jinja", "b.jinja")}
    copied = write("copy.jinja", texts["a.jinja"].read_bytes())
    keys = [config(template=str(p)).key_part() for p in (*texts.values(), copied)]
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_a_template_of_ours_is_in_the_key_by_its_content(write):
    from prefopt_core.annotation.judge_template import BUILT_IN

    same = write("mine.jinja", BUILT_IN.path("pairwise").read_bytes())
    assert config().key_part() == config(template=str(same)).key_part()


def test_address_prices_and_speed_are_in_no_key():
    other = {"base_url": "http://h/v1", "concurrency": 1, "price_prompt": 3.0, "timeout_s": 1.0}
    assert config().key_part() == config(**other).key_part()
    assert config().key_part() != config(model_name="k").key_part()


# --- before a run -----------------------------------------------------------------------------


def check(**params):
    return list(ANNOTATORS.check("llm-judge", config(**params).params))


def test_a_check_finds_nothing_wrong_with_a_good_judge(loopback):
    there = {"base_url": loopback.url}
    assert check(**there) == []
    assert check(**there, template="one-token") == []
    assert check(**there, ask="score", template="rubric") == []


def test_a_server_that_does_not_answer_is_a_doubt():
    assert "http://127.0.0.1:1/v1 does not answer" in check()[0]


def test_a_missing_key_is_a_doubt():
    assert "NO_SUCH_KEY is not set" in check(api_key_env="NO_SUCH_KEY")[0]


def test_a_hosted_judge_of_unknown_price_is_a_doubt():
    assert "price of j at https://h/v1 is not known" in check(base_url="https://h/v1")[-1]
    assert "price" not in check(base_url="https://h/v1", price_prompt=0.5)[-1]


WRONG = {
    "address": ({"base_url": "host/v1"}, r"`params\.base_url` must be"),
    "field": ({"extra_body": {"logprobs": True}}, "has logprobs, which prefopt sends"),
    "template": ({"template": "pairwize"}, "Did you mean 'pairwise'"),
    "form": ({"ask": "score"}, "is to compare, and `params.ask` is 'score'"),
    "guidelines": ({"guidelines": "no.txt"}, r"no\.txt, which is no text file"),
}


@pytest.mark.parametrize(("params", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_told_before_a_run(params, words):
    with pytest.raises(ConfigError, match=words):
        check(**params)


def test_an_evaluation_by_a_judge_that_compares_is_refused():
    params = {"base_url": "http://127.0.0.1:1/v1", "model_name": "j"}
    with pytest.raises(ValueError, match=r"Set `evaluation\.params\.ask` to 'score'"):
        EvaluationConfig(annotator="llm-judge", params=params)
    scores = params | {"ask": "score", "template": "rubric"}
    assert EvaluationConfig(annotator="llm-judge", params=scores).asking.ask == "score"


def test_a_ranking_is_refused():
    with pytest.raises(ValueError, match="'score' or 'compare'"):
        config(ask="rank")


def test_an_answer_with_half_of_a_character_is_read_and_not_bought_again(judge, loopback, better):
    def behave(request, time):
        answer = json.dumps(loopback.answer(request, texts=["HERE " + better("A")]))
        return 200, answer.replace("HERE", "\\ud83d").encode()

    loopback.behave = behave
    assert {verdict.preference for verdict in judge(orders="one")} == {1.0}
    assert loopback.times.total() == 3
