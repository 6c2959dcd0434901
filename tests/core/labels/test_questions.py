"""Questions and verdicts: an order is part of a question, and a state is never told by a number."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.labels.questions import STATES, Verdict, compared, verdict_of
from tests.verdicts import about, question

SILENT = [state for state in STATES if state != "given"]


def test_turned_it_is_another_question_about_the_same():
    asked = question("How?", "So.", "Thus.", "Hm.")
    turned = asked.turned()
    assert [shown.text for shown in turned.responses] == ["Hm.", "Thus.", "So."]
    assert turned.question_id != asked.question_id
    assert turned.compared == asked.compared == compared(*asked.key)
    assert turned.turned() == asked
    assert turned.prompt == asked.prompt


def test_an_id_is_of_prompt_and_responses_and_not_of_texts():
    assert about("p", "ab", "c").question_id != about("p", "a", "bc").question_id
    assert about("p", "a").question_id != about("q", "a").question_id
    assert len(about("p", "a").question_id) == len(question("How?", "So.").question_id)


@given(st.floats(0, 1))
def test_a_preference_is_its_probability_and_a_half_is_a_tie(probability):
    verdict = Verdict.preferred(probability)
    assert verdict.probability() == probability
    assert verdict.state == ("tie" if probability == 0.5 else "given")


@pytest.mark.parametrize(
    ("scores", "probability"), [((2, 1), 1.0), ((1, 2), 0.0), ((1, 1), 0.5), ((-0.0, 0.0), 0.5)]
)
def test_of_two_scores_the_larger_wins(scores, probability):
    assert Verdict.scored(*scores).probability() == probability


def test_a_ranking_has_its_negative_ranks_as_scores_and_equal_ones_tie():
    assert Verdict.ranked([3, 1, 2]).scores == (-3.0, -1.0, -2.0)
    assert Verdict.ranked([1, 1, 2]).scores == (-1.0, -1.0, -2.0)
    assert Verdict.ranked([2, 2, 2]) == Verdict("tie")


@pytest.mark.parametrize("state", SILENT)
def test_a_state_without_a_verdict_has_no_number(state):
    assert Verdict(state).content() == {}
    assert Verdict(state).probability() == (0.5 if state == "tie" else None)
    for said in ({"scores": (1.0,)}, {"preference": 0.9}):
        with pytest.raises(ValueError, match=f"verdict '{state}' with 1 of scores and preference"):
            Verdict(state, **said)


def test_what_is_given_is_scores_or_a_preference():
    with pytest.raises(ValueError, match="'given' with 0"):
        Verdict("given")
    with pytest.raises(ValueError, match="'given' with 2"):
        Verdict("given", scores=(1.0, 2.0), preference=0.9)
    with pytest.raises(ValueError, match="of ½ it is a tie"):
        Verdict("given", preference=0.5)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_no_verdict(number):
    with pytest.raises(ValueError, match="one is no finite number"):
        Verdict.scored(1.0, number)
    with pytest.raises(ValueError, match="a preference of"):
        Verdict.preferred(number)


@pytest.mark.parametrize("probability", [-0.1, 1.1])
def test_a_probability_lies_between_0_and_1(probability):
    with pytest.raises(ValueError, match="a preference of"):
        Verdict.preferred(probability)


def test_a_verdict_fits_a_question_of_its_size():
    one, two, three = (about("p", *"abc"[:size]) for size in (1, 2, 3))
    for verdict, fitting in (
        (Verdict.scored(1.0), [one]),
        (Verdict.scored(1.0, 2.0), [two]),
        (Verdict.preferred(0.9), [two]),
        (Verdict.ranked([1, 2, 3]), [three]),
        (Verdict("invalid"), [one, two, three]),
    ):
        assert [asked for asked in (one, two, three) if verdict.fits(asked)] == fitting


@given(
    st.sampled_from(SILENT).map(Verdict)
    | st.floats(0, 1).map(Verdict.preferred)
    | st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1).map(
        lambda scores: Verdict.scored(*scores)
    )
)
def test_what_is_kept_of_a_verdict_is_the_whole_of_it(verdict):
    kept = json.loads(json.dumps(verdict.content()))
    assert verdict_of(verdict.state, kept) == verdict
