"""A server is asked for what the store has not: what was paid for is not bought again."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prefopt_core.ground.spending import adding_up
from prefopt_core.models.server.kept import Bought

pytest.importorskip("openai", reason="the extra `openai` is not installed")


def test_more_samples_buy_the_difference_and_fewer_buy_nothing(ask_texts, loopback, prompts):
    two = ask_texts(n=2)
    five = ask_texts(n=5)
    assert [row[:2] for row in five] == two
    assert [request["n"] for request in loopback.asked] == [2] * 3 + [3] * 3
    assert ask_texts(n=1) == [row[:1] for row in two]
    assert ask_texts(n=5, prompts=prompts[::-1]) == five[::-1]
    assert len(loopback.asked) == 6


def test_a_prompt_that_comes_twice_is_bought_once(ask_texts, loopback, prompts):
    first, *_, again = ask_texts(prompts=[*prompts, prompts[0]])
    assert first == again
    assert len(loopback.asked) == 3


def test_other_settings_or_seeds_are_other_responses(ask, loopback):
    ask()
    for change in ({"temperature": 0.5}, {"model_name": "o"}, {"seed": 1}):
        loopback.asked.clear()
        ask(**change)
        assert len(loopback.asked) == 3


def test_tokens_and_money_are_counted_once(ask, loopback, responses):
    with adding_up() as spent:
        ask(n=4, price_prompt=1e6, price_completion=2e6)
        ask(n=4)
    assert (spent.responses, spent.prompt_tokens, spent.completion_tokens) == (12, 30, 60)
    assert spent.cost == 150.0
    assert str(spent) == "12 responses bought: 30 prompt and 60 completion tokens, 150"
    ask(n=5)  # without prices
    assert responses.bought() == [Bought("m", 15, 60, 75, 150.0)]


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": 3}], ids=str)
def test_usage_that_a_server_does_not_tell_is_told_as_unknown(ask, loopback, usage):
    loopback.behave = lambda request, time: (200, loopback.answer(request) | {"usage": usage})
    with adding_up() as spent:
        ask(price_prompt=1.0)
    assert "3 requests of unknown usage" in str(spent)


def test_two_at_once_buy_once(ask_texts, loopback):
    def behave(request, time):
        threading.Event().wait(0.05)
        return 200, loopback.answer(request)

    loopback.behave = behave
    found = []
    threads = [threading.Thread(target=lambda: found.append(ask_texts())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert found[0] == found[1]
    assert set(loopback.times.values()) == {1}


DIES = """
import sys
from prefopt_core.generation.openai_api import generate
from prefopt_core.ground.ids import Prompt

prompts = [Prompt(f"id{i}", [{"role": "user", "content": f"Question {i}?"}]) for i in range(12)]
given = generate(prompts, None, 2, 0, base_url=sys.argv[1], model_name="m", concurrency=4)
print([[response.text for response in row] for row in given])
"""


@pytest.mark.slow
def test_what_a_killed_process_has_received_is_not_bought_again(loopback, responses):
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
    while not responses.bought() or responses.bought()[0].responses < 10 or loopback.busy < 4:
        assert victim.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.kill()
    victim.communicate()
    assert responses.bought()[0].responses == 10
    stalling.set()
    done = start()
    printed, _ = done.communicate(timeout=300)
    assert done.returncode == 0
    assert len({text for row in json.loads(printed.replace("'", '"')) for text in row}) == 24
    # 5 answered before, 4 under way when it died and asked again, 3 that were new
    assert sorted(loopback.times.values()) == [1] * 8 + [2] * 4
