"""A server that is slow, broken or unwilling: waited for, or told with a reason."""

import re
import threading
import time

import pytest

from prefopt_core.ground.errors import ConfigError, DataError, ServerError
from prefopt_core.ground.ids import Prompt
from prefopt_core.ground.spending import adding_up
from prefopt_core.models.server import waiting

pytest.importorskip("openai", reason="the extra `openai` is not installed")

# --- trouble that passes ----------------------------------------------------------------------


TROUBLE = {
    "500": lambda server: (500, {"error": {"message": "oh"}}),
    "503 in HTML": lambda server: (503, b"<html>busy</html>", {"Content-Type": "text/html"}, 0),
    "429": lambda server: (429, {"error": {"message": "slow down"}}, {"Retry-After": "0.01"}, 0),
    "408": lambda server: (408, {}),
    "stall": lambda server: server.stall(),
    "garbage": lambda server: (200, b"\x00\xff garbage"),
    "HTML": lambda server: (200, b"<html>hi</html>", {"Content-Type": "text/html"}, 0),
    "cut JSON": lambda server: (200, b'{"choices": [{"index": 0, "mess'),
    "connection lost": lambda server: (200, {"choices": []}, {}, 15),
    "an error as an answer": lambda server: (200, {"error": {"message": "oh"}}),
    "no choices": lambda server: (200, {"choices": []}),
    "empty": lambda server: (200, b""),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_is_waited_out(ask, loopback, trouble):
    loopback.behave = lambda request, time: (
        trouble(loopback) if time == 1 else (200, loopback.answer(request))
    )
    timeout_s = 1 if trouble is TROUBLE["stall"] else 60
    assert [len(row) for row in ask(timeout_s=timeout_s)] == [2] * 3
    assert min(loopback.times.values()) >= 2  # a busy machine may not answer in 1 s either


def test_half_a_character_at_the_end_is_read_as_tokenizers_decode_it(ask, loopback):
    half = b'{"choices": [{"text": "Hi \\ud83d", "finish_reason": "length"}]}'
    loopback.behave = lambda request, time: (200, half)
    texts = {response.text for row in ask() for response in row}
    assert texts == {"Hi \ufffd"}


def test_a_server_that_says_how_long_to_wait_is_not_asked_before(ask, loopback):
    allowed = {}

    def behave(request, number):
        now, seed = time.monotonic(), request["seed"]
        if now < allowed.setdefault(seed, now + 1):
            return 429, {"error": {"message": "slow down"}}, {"Retry-After": "1.05"}, 0
        return 200, loopback.answer(request)

    loopback.behave = behave
    ask(max_attempts=2)
    assert set(loopback.times.values()) == {2}


def test_a_server_that_never_ends_its_answer_is_given_up(ask, loopback):
    loopback.pause = 0.1
    loopback.behave = lambda request, time: (200, b" " * 200, {}, 1)
    with pytest.raises(ServerError, match=r"in 2 attempts; at last: no answer in 0\.5 s"):
        ask(timeout_s=0.5, max_attempts=2)


def test_after_the_last_attempt_what_there_is_stays_and_the_same_call_goes_on(ask, loopback):
    def behave(request, time):
        if request["messages"][0]["content"] == "Question 1?":
            return 502, {"error": {"message": "the model fell over"}}
        return 200, loopback.answer(request)

    loopback.behave = behave
    with pytest.raises(ServerError) as caught:
        ask(max_attempts=2)
    message = str(caught.value)
    assert "gave no answer in 2 attempts; at last: HTTP 502: the model fell over" in message
    assert "4 of 6 responses of this shard are kept; the same command goes on" in message
    del loopback.behave, loopback.asked[:]
    loopback.behave = lambda request, time: (200, loopback.answer(request))
    assert [len(row) for row in ask()] == [2] * 3
    assert [request["messages"][-1]["content"] for request in loopback.asked] == ["Question 1?"]


def test_a_server_that_is_not_there_is_told(ask):
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:9/v1 gave no answer.*connection failed"):
        ask(base_url="http://127.0.0.1:9/v1", max_attempts=1)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_requests_at_a_time_than_allowed(ask, loopback, concurrency):
    def behave(request, time):
        threading.Event().wait(0.02)
        return 200, loopback.answer(request)

    loopback.behave = behave
    many = [Prompt(f"id{i}", [{"role": "user", "content": str(i)}]) for i in range(12)]
    assert len(ask(prompts=many, concurrency=concurrency)) == 12
    assert loopback.busiest <= concurrency


@pytest.mark.parametrize(
    "change",
    [
        {"choices": [{"index": None, "finish_reason": "stop", "message": {"content": "hi"}}]},
        {"choices": [{"finish_reason": "stop", "message": {"content": [{"type": "text",
                      "text": "h"}, {"text": "i"}]}}]},
        {"usage": {"prompt_tokens": 2.5, "completion_tokens": 1}},
        {"usage": "some"},
    ],
    ids=["no index", "parts", "half a token", "no numbers"],
)  # fmt: skip
def test_a_good_answer_in_another_form_is_kept(ask_texts, loopback, prompts, change):
    said = {"choices": [{"finish_reason": "stop", "message": {"content": "hi"}}]}
    loopback.behave = lambda request, time: (200, said | change)
    assert ask_texts(n=1, prompts=prompts[:1]) == [["hi"]]
    assert len(loopback.asked) == 1


# --- trouble that does not --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "max_new_tokens"), (401, "api_key_env"), (403, "may use"), (404, "`base_url`")],
)
def test_a_refusal_ends_it_at_once_in_the_servers_words(
    ask, loopback, monkeypatch, status, advice, prompts
):
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    body = {"error": {"message": "No, sk-secret-1, not this way"}}
    loopback.behave = lambda request, time: (status, body)
    with pytest.raises(ConfigError) as caught:
        ask(n=1, prompts=prompts[:1], api_key_env="MY_KEY")
    message = str(caught.value)
    what = "the prompt 'Question 0?'" if status == 400 else "to answer"
    assert f"refuses {what}: HTTP {status}: No, …, not" in message
    assert advice in message
    assert "sk-secret" not in message
    assert len(loopback.asked) == 1


def test_no_part_of_the_key_is_shown_where_the_servers_words_are_cut(ask, loopback, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    for status in (404, 200):
        words = "x" * (295 if status == 404 else 195) + "sk-secret-1"
        body = {"error": {"message": words}} if status == 404 else words.encode()
        loopback.behave = lambda request, time, answer=(status, body): answer
        with pytest.raises((ConfigError, ServerError)) as caught:
            ask(n=1, api_key_env="MY_KEY", max_attempts=1)
        assert "xxx…" in str(caught.value)
        assert "sk-" not in str(caught.value)


def test_a_refused_prompt_is_told_before_more_is_bought(ask, loopback, prompts):
    def behave(request, time):
        if request["messages"][0]["content"] == "Question 0?":
            return 400, {"error": {"message": "too long"}}
        return 200, loopback.answer(request)

    loopback.behave = behave
    with pytest.raises(ConfigError, match="too long"):
        ask(n=8, concurrency=1)
    assert [request.get("n", 1) for request in loopback.asked] == [8, 1]


def test_an_account_without_credit_is_not_asked_again(ask, loopback, prompts):
    error = {"message": "You exceeded your quota", "code": "insufficient_quota"}
    loopback.behave = lambda request, time: (429, {"error": error})
    with pytest.raises(ConfigError, match="no credit left"):
        ask(prompts=prompts[:1])
    assert len(loopback.asked) == 1


def test_what_is_under_way_at_a_refusal_is_kept(ask, loopback, responses):
    refused = threading.Event()

    def behave(request, time):
        if request["messages"][0]["content"] == "Question 0?":
            refused.set()
            return 404, {"error": {"message": "no"}}
        refused.wait(30)
        threading.Event().wait(0.3)  # the refusal arrives first
        return 200, loopback.answer(request)

    loopback.behave = behave
    with pytest.raises(ConfigError):
        ask(concurrency=3)
    assert responses.bought()[0].responses == 4


def test_nobody_waits_for_a_repetition_when_all_is_lost(ask, loopback):
    def behave(request, time):
        if request["messages"][0]["content"] == "Question 0?":
            while len(loopback.times) < 3:
                threading.Event().wait(0.01)
            return 404, {"error": {"message": "no"}}
        return 429, {}, {"Retry-After": "250"}, 0

    loopback.behave = behave
    with pytest.raises(ConfigError, match="404"):
        ask(concurrency=3)
    assert len(loopback.asked) == 3


# --- choices without a text -------------------------------------------------------------------


def withheld(loopback, **choice):
    """A server whose second choice is like that."""

    def behave(request, time):
        answer = loopback.answer(request)
        next(c for c in answer["choices"] if c["index"] == 1).update(choice)
        return 200, answer

    return behave


WITHHELD = {
    "null": {"message": {"content": None}},
    "filtered": {"message": {"content": "I wa"}, "finish_reason": "content_filter"},
    "tool": {"message": {"content": None}, "finish_reason": "tool_calls"},
    "all thought": {"message": {"content": ""}, "finish_reason": "length"},
    "no reason": {"finish_reason": None},
    "nothing": {"message": None},
}


@pytest.mark.parametrize("choice", WITHHELD.values(), ids=WITHHELD)
def test_a_choice_without_a_text_is_told_or_left_out(ask, loopback, choice):
    loopback.behave = withheld(loopback, **choice)
    message = r"1 of 3 responses to the prompt 'Question 0\?' have no text.*`.*withheld` to 'drop'"
    with pytest.raises(DataError, match=message):
        ask(n=3)
    asked = len(loopback.asked)
    with adding_up() as spent:
        assert [len(row) for row in ask(n=3, withheld="drop")] == [2] * 3
    assert len(loopback.asked) == asked
    assert str(spent) == "3 withheld and left out"


def test_a_prompt_that_gets_no_text_at_all_is_told_even_then(ask, loopback):
    loopback.behave = withheld(loopback, finish_reason="content_filter")
    loopback.behave = lambda request, time: (200, loopback.answer(request, reason="content_filter"))
    with pytest.raises(DataError, match=r"2 of 2 .*reason content_filter.* Remove the prompt\."):
        ask(withheld="drop")


def test_an_empty_response_that_the_model_ended_is_one(ask_texts, loopback):
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=["", "a"]))
    assert ask_texts() == [["", "a"]] * 3


def test_a_server_that_does_not_sample_is_told(ask, loopback, caplog, prompts):
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=["a", "a"]))
    ask()
    assert "it does not sample" in caplog.text
    caplog.clear()
    ask(temperature=0)
    ask(prompts=prompts[:1], seed=1)  # one prompt may have one answer
    loopback.behave = lambda request, time: (200, loopback.answer(request))
    ask(seed=2)
    assert not caplog.records


# --- what is seen of it -----------------------------------------------------------------------


def refusals_told(ask, loopback, caplog):
    """What is told of a server that refuses each request three times."""
    loopback.behave = lambda request, time: (
        (503, {"error": {"message": "busy"}}) if time < 4 else (200, loopback.answer(request))
    )
    ask(concurrency=1)
    return [record.getMessage() for record in caplog.records]


def test_of_requests_that_are_repeated_the_first_is_told(ask, loopback, caplog):
    (line,) = refusals_told(ask, loopback, caplog)
    assert line == f"{loopback.url}: HTTP 503: busy. Asking again in 0 s."


def test_later_repetitions_are_counted_and_told_now_and_then(ask, loopback, caplog, monkeypatch):
    monkeypatch.setattr(waiting, "EVERY_S", 0.0)
    _, *later = refusals_told(ask, loopback, caplog)
    failures = sum(min(times - 1, 3) for times in loopback.times.values())
    counted = [int(re.search(r"last \d+ s (\d+) requests failed; the last: HTTP", line)[1])
               for line in later]  # fmt: skip
    assert 1 + sum(counted) == failures > 1


def test_silence_of_a_server_is_told(ask, loopback, caplog, monkeypatch):
    monkeypatch.setattr(waiting, "SILENT_S", 0.4)
    loopback.behave = lambda request, time: (
        loopback.stall() if time == 1 else (200, loopback.answer(request))
    )
    ask(timeout_s=2)
    line = caplog.records[0].getMessage()
    assert re.fullmatch(
        rf"{loopback.url}: no answer for \d s; requests that wait for one: 3.", line
    )
