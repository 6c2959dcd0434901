"""Openings are distinct, drawn by the seed, and name one hero."""

import re

import pytest

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.tables import check_table
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.worlds.stories.openings import NAMES, OPENINGS, openings


def test_more_openings_begin_with_the_fewer_and_none_repeats():
    every = openings(OPENINGS, seed=3)
    assert every[:500] == openings(500, seed=3)
    assert len(set(every)) == OPENINGS
    assert every[:500] != openings(500, seed=4)


def test_an_opening_names_one_hero_and_breaks_off_in_mid_sentence():
    for opening in openings(OPENINGS, seed=0):
        assert len(set(re.findall(r"\w+", opening)) & set(NAMES)) == 1
        assert opening[-1].isalpha()
        assert len(set(re.findall(r"\w+", opening.lower())) & {"he", "she"}) == 1
        assert not re.search(r"[{}]|  ", opening)


def test_more_openings_than_there_are_are_refused():
    with pytest.raises(ConfigError, match=f"{OPENINGS + 1} story openings.*{OPENINGS}"):
        openings(OPENINGS + 1, seed=0)


def test_a_config_can_ask_for_them():
    config = PromptsConfig(source="stories", params={"count": 7})
    table = check_table("prompts", config.member()(5))
    texts = [messages[-1]["content"] for messages in table["prompt"]]
    assert texts == openings(7, seed=5)
