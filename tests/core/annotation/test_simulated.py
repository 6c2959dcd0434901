"""A simulated human errs as often as it says, by chance that is drawn once and for all."""

from itertools import pairwise

import numpy as np
import pytest

from prefopt_core.annotation.identity import identity
from prefopt_core.annotation.settings import AnnotationConfig
from prefopt_core.annotation.simulated import annotate
from prefopt_core.annotation.verdicts import UnusableAnswerError
from tests.verdicts import question, scores_of

GOLD = """
def gold(prompt, response):
    points = response.partition(" ")[0]
    return None if points == "none" else float(points)
"""
PROMPTS = 2000


@pytest.fixture
def ask(write):
    """Ask about (prompt, response)s; responses begin with their gold score."""
    function = f"{write('gold.py', GOLD)}:gold"

    def ask(texts, **settings):
        questions = [question(prompt, response) for prompt, response in texts]
        return scores_of(annotate(questions, function=function, **settings))

    return ask


def pairs(better, worse):
    """Two responses to each of many prompts, by their gold scores."""
    return [(f"prompt {i}", f"{score} of {i}") for i in range(PROMPTS) for score in (better, worse)]


def share_right(scores):
    """How often the first of two is preferred."""
    first, second = np.reshape(np.array(scores, float), (-1, 2)).T
    assert (first != second).all()
    return float(np.mean(first > second))


def near(share):
    """Within four standard errors of a share that is drawn for every prompt."""
    return pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / PROMPTS))


def test_without_mistakes_it_says_what_the_function_says(ask):
    texts = [("a", "1"), ("a", "2.5"), ("b", "-3"), ("b", "none")]
    assert ask(texts) == [1.0, 2.5, -3.0, None]


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.4, 1.0])
def test_so_many_pairs_are_flipped(ask, rate):
    assert share_right(ask(pairs(2, 1), error_rate=rate)) == near(1 - rate)


@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.parametrize("difference", [0.25, 1.0, 3.0])
def test_with_noise_the_better_one_wins_as_bradley_and_terry_say(ask, scale, difference):
    expected = 1 / (1 + np.exp(-difference / scale))
    assert share_right(ask(pairs(difference, 0), noise=scale)) == near(expected)


def test_errors_and_noise_are_drawn_apart(ask):
    wins = 1 / (1 + np.exp(-1))
    found = share_right(ask(pairs(1, 0), noise=1.0, error_rate=0.3))
    assert found == near(0.7 * wins + 0.3 * (1 - wins))


def test_what_is_shown_first_gains_whatever_the_order_of_the_request(ask):
    texts = [(f"prompt {i}", f"1 {side}") for i in range(PROMPTS) for side in "ab"]
    scores = ask(texts, position_bias=0.5)
    assert {tuple(sorted(scores[i : i + 2])) for i in range(0, len(scores), 2)} == {(1.0, 1.5)}
    assert share_right(scores) == near(0.5)  # either may be shown first
    assert ask(texts[::-1], position_bias=0.5) == scores[::-1]


def test_a_bias_decides_only_what_is_closer_than_it(ask):
    assert share_right(ask(pairs(2, 1), position_bias=0.9)) == 1.0
    assert share_right(ask(pairs(2, 1), position_bias=1.1)) == near(0.5)
    assert share_right(ask(pairs(2, 1), position_bias=-1.1)) == near(0.5)


def test_a_response_alone_is_not_shown_before_another(ask):
    assert ask([("a", "1"), ("b", "1"), ("b", "1")], position_bias=9.0) == [1.0, 1.0, 1.0]


def test_who_is_asked_again_says_the_same_alone_or_with_others(ask):
    texts = [(f"prompt {i}", f"{j} of {i}") for i in range(20) for j in range(3)]
    human = {"error_rate": 0.3, "noise": 1.0}
    together = ask(texts, **human)
    assert ask(texts, **human) == together
    assert [ask([text], **human)[0] for text in texts] == together
    assert ask(texts, **human, seed=1) != together
    # What is shown first depends on what else is shown: that is what such a bias is.
    biased = {**human, "position_bias": 0.5}
    moved = np.subtract(ask(texts, **biased), together)
    assert (np.abs(moved) > 0.4).sum() == 20
    assert [ask([text], **biased)[0] for text in texts] == together


def test_no_verdict_stays_none(ask):
    texts = [("a", "none"), ("a", "1"), ("a", "none but longer")]
    found = ask(texts, error_rate=1.0, noise=1.0, position_bias=1.0)
    assert [score is None for score in found] == [True, False, True]


def test_all_responses_of_a_prompt_are_turned_round_together(ask):
    texts = [(f"prompt {i}", f"{j}") for i in range(50) for j in (1, 2, 3)]
    scores = np.reshape(ask(texts, error_rate=0.5), (-1, 3))
    assert {tuple(own) for own in scores} == {(1, 2, 3), (-1, -2, -3)}


def test_each_human_has_labels_of_their_own(write):
    path = write("gold.py", GOLD)

    def of(**settings):
        params = {"function": f"{path}:gold", **settings}
        return identity(AnnotationConfig(annotator="simulated", params=params))

    humans = [of(), of(seed=1), of(error_rate=0.1), of(noise=1.0), of(position_bias=0.1)]
    assert all(one != other for one, other in pairwise(humans))
    assert len(set(humans)) == 5
    assert of(seed=1) == humans[1]


@pytest.mark.parametrize(
    ("text", "told"), [("True", "^True, which is"), ("'4'", "^'4', which is"), ("[1]", r"^\[1\], ")]
)
def test_what_is_no_number_is_refused_as_it_is_and_gets_no_noise(write, text, told):
    path = write("gold.py", "def gold(prompt, response): return eval(response)")
    errs = {"noise": 1.0, "error_rate": 1.0, "position_bias": 1.0}
    with pytest.raises(UnusableAnswerError, match=told):
        list(annotate([question("p", text)], function=f"{path}:gold", **errs))


@pytest.mark.parametrize("form", ["compare", "rank"])
def test_compared_what_is_shown_first_gains_and_not_by_another_order(write, form):
    function = f"{write('gold.py', GOLD)}:gold"
    human = {"function": function, "ask": form, "position_bias": 1.5}
    close, far = question("p", "2 a", "1 b"), question("p", "5 c", "1 d")
    found = list(annotate([close, close.turned(), far, far.turned()], **human))
    assert [verdict.scores for verdict in found] == [(3.5, 1), (2.5, 2), (6.5, 1), (2.5, 5)]


@pytest.mark.parametrize("settings", [{"error_rate": 1.1}, {"error_rate": -0.1}, {"noise": -1}])
def test_what_no_human_can_be_is_refused(write, settings):
    params = {"function": f"{write('gold.py', GOLD)}:gold", **settings}
    with pytest.raises(ValueError, match=f"setting '{next(iter(settings))}'"):
        AnnotationConfig(annotator="simulated", params=params)
