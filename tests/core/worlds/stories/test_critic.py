"""What the critic of stories rewards, by hand; and that any two texts have a score."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.worlds.stories.critic import BEST, BLANK, hero_of, repetition, score
from prefopt_core.worlds.stories.openings import openings

LILY = "Once upon a time, there was a little girl named Lily. She loved to"
REX = "There was a young dog called Rex. One day, he found a"


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ("play outside.", 0.0),
        ("play. Lily ran.", 1.0),
        ("play. Lily ran. Lily sat.", 1.0),  # named once is enough
        ("play. She ran.", 1.0),
        ("play. He ran.", -1.0),
        ("play. She saw her. He ran.", 1 / 3),
        ('play. "Look at me!"', 1.0),
        ('play. "Look at me!', 0.0),  # never closed
        ('play. "!"', 0.0),  # nobody says a word
        ("play and share a cake.", 1.0),
        ("play. Mom was sad.", -1.0),
        ("play. Mom was sad. Then all were happy.", 1.0),
        ("play. All were happy. Then Mom was sad.", -1.0),
        ("play with Tom.", -0.5),
        ("play with Tom and Mia and Ben and Sue.", -1.0),  # two strangers count
        ("play the big dog the big cat.", -2 / 7),
        ("play. Once upon a time", -1.0),
        (" \n.", BLANK),
    ],
)
def test_each_thing_counts_by_itself(response, expected):
    assert score(LILY, response) == pytest.approx(expected, abs=1e-6)


def test_the_best_story_has_it_all():
    story = 'play. One day she was sad. "Can I help you?" asked a bird. Lily smiled and hugged it.'
    assert score(LILY, story) == BEST


def test_pronouns_and_names_are_those_of_the_opening():
    assert score(REX, "bone. He barked.") == 1.0
    assert score(REX, "bone. She barked.") == -1.0
    assert score(REX, "bone. Rex barked.") == 1.0
    assert score(LILY, "bone. Rex barked.") == -0.5


def test_the_hero_of_every_opening_is_found():
    for opening in openings(300, seed=1):
        hero = hero_of(opening)
        assert hero is not None
        assert score(opening, f"ball. {hero} ran.") == 1.0
    assert hero_of("The weather is fine today") is None


@given(st.text(), st.text())
def test_any_two_texts_have_a_score_within_limits(prompt, response):
    # 0 hero, -1 pronouns, 0 speech, 0 kind, -1 trouble, -1 strangers, -2 repetition, -1 anew
    assert -6 <= score(prompt, response) <= BEST


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=12))
def test_repetition_counts_pairs_that_came_before(words):
    seen, again = set(), 0
    for i in range(1, len(words)):
        again += (words[i - 1], words[i]) in seen
        seen.add((words[i - 1], words[i]))
    assert repetition(words) == (again / len(words) if words else 0)


@given(st.text(alphabet="ab Lily.", min_size=1), st.integers(1, 4))
def test_white_space_does_not_count(text, width):
    assert score(LILY, text) == score(LILY, text.replace(" ", " " * width) + "\n")
