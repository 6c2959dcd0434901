"""What the critic of short answers rewards, by hand; and that any two texts have a score."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.worlds.smollm.critic import BEST, BLANK, read_prompt, score, subject
from prefopt_core.worlds.smollm.instructions import instructions
from prefopt_core.worlds.smollm.questions import QUESTIONS

SENTENCES = "What can we learn from bees? Answer in two sentences. End with a question."
POINTS = 'Why do people like tea? Give a list of two numbered points. Use the word "never".'
WORDS = 'Why do people like tea? Use 5 to 15 words. Begin with the word "Well".'


@pytest.mark.parametrize(
    ("prompt", "response", "expected"),
    [
        (SENTENCES, "They work hard. They rest", 2.0),
        (SENTENCES, "They work hard. They rest.", 3.0),  # and an end
        (SENTENCES, "Bees work hard. They rest.", 4.0),  # and the subject
        (SENTENCES, "Bees work hard. Do they rest?", BEST),  # and the last sign
        (SENTENCES, "They work.", 2.0),  # one of two sentences, and an end
        (SENTENCES, "They work. They rest. They eat. They sleep.", 2.0),  # twice as many
        (POINTS, "1. Warm\n2. Cheap", 3.0),
        (POINTS, "1. Warm\n2. It never was dear", 4.0),
        (POINTS, "Warm. Cheap.", 1.0),  # no list, but an end
        (WORDS, "one two three four five", 2.0),
        (WORDS, "Well, one two three four", 3.0),
        (WORDS, "one two three four", 1.6),  # four of five
        (WORDS, "one two three four five.", 3.0),
        (WORDS, "I am an AI that says four.", 2.0),
        (WORDS, "so hot so hot so hot", 2 - 2 * 3 / 6),  # three of six words end a pair seen before
        (WORDS, " \n1.", BLANK),
    ],
)
def test_each_thing_counts_by_itself(prompt, response, expected):
    assert score(prompt, response) == pytest.approx(expected, abs=1e-6)


def test_prompts_are_read_as_they_were_written():
    for prompt in instructions(len(QUESTIONS), seed=1):
        question, form, wording = read_prompt(prompt)
        assert question in QUESTIONS
        assert f"{question} {form} {wording}" == prompt
        assert form
        assert wording
        assert subject(question)


@given(st.text(), st.text())
def test_any_two_texts_have_a_score_that_is_no_better_than_the_best(prompt, response):
    assert BLANK - 3 <= score(prompt, response) <= BEST
