"""A generator that asks the loopback server."""

import pytest

from prefopt_core.generation.openai_api import generate
from prefopt_core.ground.ids import Prompt


@pytest.fixture
def prompts():
    return [Prompt(f"id{i}", [{"role": "user", "content": f"Question {i}?"}]) for i in range(3)]


@pytest.fixture
def ask(loopback, responses, prompts):
    """Buy responses, by default two to each of three prompts."""

    def ask(n=2, prompts=prompts, model=None, seed=0, **params):
        params = {"base_url": loopback.url, "model_name": "m", "timeout_s": 60} | params
        return generate(prompts, model, n, seed, **params)

    return ask


@pytest.fixture
def ask_texts(ask):
    """Buy responses; returns their texts."""

    def ask_texts(**settings):
        return [[response.text for response in row] for row in ask(**settings)]

    return ask_texts
