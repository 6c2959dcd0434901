"""Prompts are drawn by the seed, and no question is asked twice."""

import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.worlds.smollm.critic import read_prompt
from prefopt_core.worlds.smollm.instructions import instructions
from prefopt_core.worlds.smollm.questions import QUESTIONS


def test_more_prompts_begin_with_the_fewer_and_no_question_comes_twice():
    every = instructions(len(QUESTIONS), seed=3)
    assert every[:100] == instructions(100, seed=3)
    assert {read_prompt(prompt)[0] for prompt in every} == set(QUESTIONS)
    assert every[:100] != instructions(100, seed=4)


def test_more_prompts_than_questions_are_refused():
    with pytest.raises(ConfigError, match=f"{len(QUESTIONS) + 1} prompts.*{len(QUESTIONS)}"):
        instructions(len(QUESTIONS) + 1, seed=0)


def test_a_config_can_ask_for_them():
    config = PromptsConfig(source="smollm", params={"count": 7})
    table = check_table("prompts", config.member()(5))
    assert [m[-1]["content"] for m in table["prompt"]] == instructions(7, seed=5)
