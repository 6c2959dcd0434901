"""A server is asked for what the store has not, and gives what was asked or a reason."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prefopt_core.config import GenerationConfig
from prefopt_core.errors import ConfigError, DataError, MissingExtraError, ServerError
from prefopt_core.generation import Prompt
from prefopt_core.generation.openai_api import generate
from prefopt_core.generation.table import generate_candidates
from prefopt_core.inputs.prompts import from_file
from prefopt_core.responses import Bought, ResponseStore
from prefopt_core.spending import adding_up
from prefopt_core.tables import check_table
from prefopt_core.tokens import load_tokenizer, prompt_ids
from tasks.generation import generate_candidates as stage

pytest.importorskip("openai", reason="the extra `openai` is not installed")

PROMPTS = [Prompt(f"id{i}", [{"role": "user", "content": f"Question {i}?"}]) for i in range(3)]
DIALOGUE = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "Because."},
    {"role": "user", "content": "Why so?"},
]


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    """The store in which bought responses are kept."""
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))
    return ResponseStore(tmp_path / "store")


@pytest.fixture
def ask(loopback):
    def ask(n=2, prompts=PROMPTS, model=None, seed=0, **params):
        params = {"base_url": loopback.url, "model_name": "m", "timeout_s": 60} | params
        return generate(prompts, model, n, seed, **params)

    return ask


def texts(responses):
    return [[response.text for response in row] for row in responses]


def contents(asked):
    return sorted(request["messages"][-1]["content"] for request in asked)


# --- what is asked, and what comes of it ------------------------------------------------------


def test_a_chat_is_sent_as_it_is_with_all_settings(ask, loopback):
    prompt = Prompt("d", DIALOGUE)
    ((first, second),) = ask(
        prompts=[prompt], temperature=0.7, top_p=0.9, max_new_tokens=7, extra_body={"top_k": 3}
    )
    (request,) = loopback.asked
    seed = request.pop("seed")
    assert request == {
        "model": "m", "messages": DIALOGUE, "n": 2, "temperature": 0.7, "top_p": 0.9,
        "max_tokens": 7, "top_k": 3,
    }  # fmt: skip
    assert loopback.paths == {"/v1/chat/completions"}
    assert (first.text, second.text) == (f"{seed}/0", f"{seed}/1")  # by number, not as they came
    assert (first.finish_reason, first.writer) == ("stop", "m")
    assert first.token_ids is first.prompt_token_ids is first.logps is None


def test_a_completion_is_what_training_will_see_token_by_token(ask, loopback, tiny_model):
    ask(prompts=[Prompt("d", DIALOGUE)], model=tiny_model, endpoint="completions")
    assert loopback.asked[0]["prompt"] == prompt_ids(load_tokenizer(tiny_model), DIALOGUE)
    assert loopback.paths == {"/v1/completions"}


def test_without_a_model_a_completion_is_one_text(ask, loopback):
    ask(prompts=PROMPTS[:1], endpoint="completions")
    assert loopback.asked[0]["prompt"] == "Question 0?"
    with pytest.raises(ConfigError, match=r"'Why so\?' has 4 messages.*`policy`.*'chat'"):
        ask(prompts=[Prompt("d", DIALOGUE)], endpoint="completions")


def test_seeds_belong_to_the_prompt_and_are_sent_if_wanted(ask, loopback):
    drawn = ask()
    seeds = [request["seed"] for request in loopback.asked]
    assert len(set(seeds)) == len(PROMPTS)
    assert texts(ask(seed=1)) != texts(drawn)
    loopback.asked.clear()
    ask(seed=2, seeded=False, length_field="max_completion_tokens")
    assert not any("seed" in request or "max_tokens" in request for request in loopback.asked)
    assert {request["max_completion_tokens"] for request in loopback.asked} == {256}


def test_table_has_the_schema_of_every_generator(ask, loopback, write):
    loopback.behave = lambda request, time: (200, loopback.answer(request, reason="length"))
    prompts = from_file(0, path=str(write("p.jsonl", [{"prompt": "one"}, {"prompt": "two"}])))
    params = {"base_url": loopback.url, "model_name": "m"}
    config = GenerationConfig(generator="openai", n=3, params=params)
    table = check_table("candidates", generate_candidates(prompts, None, "x", config, seed=0))
    assert table["sample"].to_list() == [0, 1, 2] * 2
    assert set(table["policy"]) == {"m"}
    assert set(table["finish_reason"]) == {"length"}


def test_settings_that_change_speed_only_are_not_in_the_key(loopback):
    def key(**params):
        params = {"base_url": "http://a/v1", "model_name": "m"} | params
        config = GenerationConfig(generator="openai", params=params)
        return stage.spec.key(stage.spec.inputs({"config": config}))

    speed = {
        "base_url": "http://b/v1", "api_key_env": "KEY", "concurrency": 2, "timeout_s": 1,
        "max_attempts": 2, "price_prompt": 1, "price_completion": 2,
    }  # fmt: skip
    assert key(**speed) == key()
    for change in ({"model_name": "o"}, {"top_p": 0.5}, {"extra_body": {"top_k": 2}}):
        assert key(**change) != key()


# --- servers that do not know n ---------------------------------------------------------------


def ignores_n(loopback):
    return lambda request, time: (200, loopback.answer(request | {"n": 1}))


def rejects_n(loopback):
    def behave(request, time):
        if "n" in request:
            return 400, {"error": {"message": "n must be 1"}}
        return 200, loopback.answer(request)

    return behave


@pytest.mark.parametrize("kind", [ignores_n, rejects_n])
def test_a_server_that_gives_one_at_a_time_is_asked_as_often_as_it_takes(ask, loopback, kind):
    loopback.behave = kind(loopback)
    every = ask(n=5, concurrency=2)
    assert [len(row) for row in every] == [5] * 3
    assert len({text for row in texts(every) for text in row}) == 15  # 15 seeds
    asked = len(loopback.asked)
    assert asked <= 15 + 2 * (kind is rejects_n)  # what was under way when it became known
    assert texts(ask(n=5)) == texts(every)
    assert len(loopback.asked) == asked


def test_a_server_that_gives_some_is_asked_for_the_rest(ask, loopback):
    def behave(request, time):
        return 200, loopback.answer(request | {"n": min(request.get("n", 1), 3)})

    loopback.behave = behave
    assert [len(set(row)) for row in texts(ask(n=8))] == [8] * 3
    assert sorted(request.get("n", 1) for request in loopback.asked) == [2] * 3 + [3] * 3 + [8] * 3


# --- what was paid for ------------------------------------------------------------------------


def test_more_samples_buy_the_difference_and_fewer_buy_nothing(ask, loopback):
    two = texts(ask(n=2))
    five = texts(ask(n=5))
    assert [row[:2] for row in five] == two
    assert [request["n"] for request in loopback.asked] == [2] * 3 + [3] * 3
    assert texts(ask(n=1)) == [row[:1] for row in two]
    assert texts(ask(n=5, prompts=PROMPTS[::-1])) == five[::-1]
    assert len(loopback.asked) == 6


def test_a_prompt_that_comes_twice_is_bought_once(ask, loopback):
    first, *_, again = texts(ask(prompts=[*PROMPTS, PROMPTS[0]]))
    assert first == again
    assert len(loopback.asked) == 3


def test_other_settings_or_seeds_are_other_responses(ask, loopback):
    ask()
    for change in ({"temperature": 0.5}, {"model_name": "o"}, {"seed": 1}):
        loopback.asked.clear()
        ask(**change)
        assert len(loopback.asked) == 3


def test_tokens_and_money_are_counted_once(ask, loopback, store):
    with adding_up() as spent:
        ask(n=4, price_prompt=1e6, price_completion=2e6)
        ask(n=4)
    assert (spent.responses, spent.prompt_tokens, spent.completion_tokens) == (12, 30, 60)
    assert spent.cost == 150.0
    assert str(spent) == "12 responses bought: 30 prompt and 60 completion tokens, 150"
    ask(n=5)  # without prices
    assert store.bought() == [Bought("m", 15, 60, 75, 150.0)]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}], ids=str)
def test_usage_that_a_server_does_not_tell_is_told_as_unknown(ask, loopback, usage):
    loopback.behave = lambda request, time: (200, loopback.answer(request) | {"usage": usage})
    with adding_up() as spent:
        ask(price_prompt=1.0)
    assert "3 requests of unknown usage" in str(spent)


def test_two_at_once_buy_once(ask, loopback):
    def behave(request, time):
        threading.Event().wait(0.05)
        return 200, loopback.answer(request)

    loopback.behave = behave
    found = []
    threads = [threading.Thread(target=lambda: found.append(texts(ask()))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert found[0] == found[1]
    assert set(loopback.times.values()) == {1}


DIES = """
import sys
from prefopt_core.generation import Prompt
from prefopt_core.generation.openai_api import generate

prompts = [Prompt(f"id{i}", [{"role": "user", "content": f"Question {i}?"}]) for i in range(12)]
given = generate(prompts, None, 2, 0, base_url=sys.argv[1], model_name="m", concurrency=4)
print([[response.text for response in row] for row in given])
"""


@pytest.mark.slow
def test_what_a_killed_process_has_received_is_not_bought_again(loopback, store):
    stalling = threading.Event()

    def behave(request, time):
        if len(loopback.times) > 5 and not stalling.is_set():
            return loopback.stall()
        return 200, loopback.answer(request)

    def start():
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
        command = [sys.executable, "-c", DIES, loopback.url]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    loopback.behave = behave
    victim = start()
    deadline = time.monotonic() + 300
    while not store.bought() or store.bought()[0].responses < 10 or loopback.busy < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.kill()
    victim.communicate()
    assert store.bought()[0].responses == 10
    stalling.set()
    done = start()
    printed, _ = done.communicate(timeout=300)
    assert done.returncode == 0
    assert len({text for row in json.loads(printed.replace("'", '"')) for text in row}) == 24
    # 5 answered before, 4 under way when it died and asked again, 3 that were new
    assert sorted(loopback.times.values()) == [1] * 8 + [2] * 4


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
    "half a character": lambda server: (200, b'{"choices": [{"text": "\\ud83d"}]}'),
    "empty": lambda server: (200, b""),
}


@pytest.mark.parametrize("trouble", TROUBLE.values(), ids=TROUBLE)
def test_trouble_that_passes_is_waited_out(ask, loopback, trouble):
    loopback.behave = lambda request, time: (
        trouble(loopback) if time == 1 else (200, loopback.answer(request))
    )
    timeout_s = 2 if trouble is TROUBLE["stall"] else 60
    assert [len(row) for row in ask(timeout_s=timeout_s)] == [2] * 3
    assert min(loopback.times.values()) >= 2  # a busy machine may not answer in 2 s either


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
    assert contents(loopback.asked) == ["Question 1?"]


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


# --- trouble that does not --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"),
    [(400, "max_new_tokens"), (401, "api_key_env"), (403, "may use"), (404, "`base_url`")],
)
def test_a_refusal_ends_it_at_once_in_the_servers_words(ask, loopback, monkeypatch, status, advice):
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    body = {"error": {"message": "No, sk-secret-1, not this way"}}
    loopback.behave = lambda request, time: (status, body)
    with pytest.raises(ConfigError) as caught:
        ask(n=1, prompts=PROMPTS[:1], api_key_env="MY_KEY")
    message = str(caught.value)
    assert f"refuses the prompt 'Question 0?': HTTP {status}: No, …, not" in message
    assert advice in message
    assert "sk-secret" not in message
    assert len(loopback.asked) == 1


def test_an_account_without_credit_is_not_asked_again(ask, loopback):
    error = {"message": "You exceeded your quota", "code": "insufficient_quota"}
    loopback.behave = lambda request, time: (429, {"error": error})
    with pytest.raises(ConfigError, match="no credit left"):
        ask(prompts=PROMPTS[:1])
    assert len(loopback.asked) == 1


def test_what_is_under_way_at_a_refusal_is_kept(ask, loopback, store):
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
    assert store.bought()[0].responses == 4


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


def test_an_empty_response_that_the_model_ended_is_one(ask, loopback):
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=["", "a"]))
    assert texts(ask()) == [["", "a"]] * 3


def test_a_server_that_does_not_sample_is_told(ask, loopback, caplog):
    loopback.behave = lambda request, time: (200, loopback.answer(request, texts=["a", "a"]))
    ask()
    assert "it does not sample" in caplog.text
    caplog.clear()
    ask(temperature=0)
    ask(prompts=PROMPTS[:1], seed=1)  # one prompt may have one answer
    loopback.behave = lambda request, time: (200, loopback.answer(request))
    ask(seed=2)
    assert not caplog.records


# --- keys and settings ------------------------------------------------------------------------


def test_key_comes_from_the_variable_that_is_named_and_from_no_other(ask, loopback, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    monkeypatch.setenv("MY_KEY", "mine")
    ask(api_key_env="MY_KEY")
    assert loopback.keys == {"Bearer mine"}
    loopback.keys.clear()
    ask(seed=1)
    assert loopback.keys == {"Bearer none"}
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ConfigError, match=r"variable MY_KEY, which.*is not set"):
        ask(seed=2, api_key_env="MY_KEY")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"api_key_env": "sk-proj-abc123"}, r"setting 'api_key_env': String should match"),
        ({"temperature": -1}, "'temperature'"),
        ({"endpoint": "chats"}, "'chat' or 'completions'"),
        ({"concurrency": 0}, "'concurrency'"),
    ],
    ids=str,
)
def test_bad_settings_are_told_without_a_key(params, message):
    params = {"base_url": "http://a/v1", "model_name": "m"} | params
    with pytest.raises(ValueError, match=message) as caught:
        GenerationConfig(generator="openai", params=params)
    assert "abc123" not in str(caught.value)


def test_address_and_extra_fields_are_checked(ask):
    for url in ("localhost:8000", "ftp://a/v1", "http://me:sesame@a/v1"):
        with pytest.raises(ConfigError, match="base_url") as caught:
            ask(base_url=url)
        assert "sesame" not in str(caught.value)
    with pytest.raises(ConfigError, match="extra_body` has n, temperature, which prefopt sends"):
        ask(extra_body={"temperature": 1, "n": 2, "top_k": 1})


def test_library_that_is_missing_is_named_with_its_extra(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'prefopt-flows\[openai\]'"):
        ask()


def test_it_works_where_an_event_loop_is_running(ask):
    async def notebook():
        return ask()

    assert [len(row) for row in asyncio.run(notebook())] == [2] * 3
