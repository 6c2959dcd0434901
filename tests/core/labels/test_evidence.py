"""What verdicts say together: against cases by hand, and against algebra."""

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.labels.evidence import evidence_in, scores_in
from prefopt_core.labels.questions import Verdict
from tests.verdicts import SKIPPED, scores_table, verdicts_table


def evidence(*said):
    """The evidence about one prompt, from (responses as letters, verdict)s."""
    (found,) = evidence_in(verdicts_table(*(("p", list(letters), v) for letters, v in said)))
    return found


def probability(found, first, second):
    place = {response: at for at, response in enumerate(found.responses)}
    return found.probabilities[place[first], place[second]]


# --- by hand ------------------------------------------------------------------------------------


def test_a_tie_is_a_half_and_a_preference_is_its_probability():
    tie, sure = evidence(("ab", Verdict("tie"))), evidence(("ba", Verdict.preferred(0.8)))
    assert (tie.responses, tie.scores) == (["a", "b"], [0.5, 0.5])
    assert (sure.responses, sure.scores) == (["a", "b"], pytest.approx([0.2, 0.8]))
    assert np.isnan(tie.probabilities.diagonal()).all()


def test_both_orders_are_averaged_with_the_swap_undone():
    found = evidence(("ab", Verdict.preferred(0.9)), ("ba", Verdict.preferred(0.3)))
    assert probability(found, "a", "b") == pytest.approx((0.9 + (1 - 0.3)) / 2)


def test_scores_of_a_comparison_say_who_won_and_not_by_how_much():
    for scores, won in (((5.0, 1.0), 1.0), ((1.0, 1.1), 0.0), ((2.0, 2.0), 0.5)):
        assert probability(evidence(("ab", Verdict.scored(*scores))), "a", "b") == won


def test_several_verdicts_count_alike():
    votes = [1.0, 1.0, 0.0, 0.6]
    said = [("ab", Verdict.preferred(v, by=str(i))) for i, v in enumerate(votes)]
    found = evidence(*said, ("ab", Verdict("tie", by="last")))
    assert probability(found, "a", "b") == pytest.approx((sum(votes) + 0.5) / 5)


def test_a_ranking_of_four_with_equal_ranks_by_hand():
    found = evidence(("dbca", Verdict.ranked([2, 1, 2, 4])))
    assert found.responses == ["a", "b", "c", "d"]
    expected = [
        [np.nan, 0.0, 0.0, 0.0],
        [1.0, np.nan, 1.0, 1.0],
        [1.0, 0.0, np.nan, 0.5],
        [1.0, 0.0, 0.5, np.nan],
    ]
    np.testing.assert_array_equal(found.probabilities, expected)
    assert found.scores == pytest.approx([0.0, 1.0, 0.5, 0.5])


def test_what_was_not_compared_is_unknown_and_leaves_the_mean_alone():
    found = evidence(("ab", Verdict.preferred(0.75)), ("bc", Verdict.preferred(1.0)))
    assert np.isnan(probability(found, "a", "c"))
    assert found.scores == pytest.approx([0.75, (0.25 + 1.0) / 2, 0.0])


def test_a_ranking_and_comparisons_of_the_same_responses_add_up():
    found = evidence(("abc", Verdict.ranked([1, 2, 3])), ("ca", Verdict.preferred(1.0)))
    assert probability(found, "a", "c") == 0.5
    assert probability(found, "a", "b") == 1.0


@pytest.mark.parametrize("state", ["both_bad", "skipped", "invalid"])
def test_states_that_say_nothing_are_no_evidence(state):
    silent = ("p", ["a", "b"], Verdict(state))
    assert list(evidence_in(verdicts_table(silent))) == []
    told = ("p", ["b", "a"], Verdict.preferred(0.9))
    assert next(evidence_in(verdicts_table(silent, told))).scores == pytest.approx([0.1, 0.9])


def test_scored_by_themselves_responses_have_scores_and_no_probabilities():
    (found,) = evidence_in(scores_table({"p": {"b": 3.0, "a": -1.0, "c": None}}))
    assert (found.responses, found.scores) == (["b", "a"], [3.0, -1.0])
    assert found.probabilities is None


def test_where_responses_were_compared_single_scores_are_left_out():
    found = evidence(
        ("a", Verdict.scored(100.0)), ("ab", Verdict.preferred(0.25)), ("c", Verdict.scored(9.0))
    )
    assert (found.responses, found.scores) == (["a", "b"], [0.25, 0.75])


def test_a_response_that_several_scored_has_the_mean_of_those_who_did():
    said = [Verdict.scored(1.0), Verdict.scored(4.0, by="Mary"), Verdict("skipped", by="John")]
    table = verdicts_table(*(("p", ["a"], verdict) for verdict in said))
    assert scores_in(table).rows() == [("p", "a", 2.5)]
    assert scores_in(verdicts_table(("p", ["a"], SKIPPED))).is_empty()


def test_prompts_come_in_the_order_of_the_table_each_in_its_own_way():
    table = verdicts_table(
        ("q", ["x", "y"], Verdict.preferred(1.0)),
        ("silent", ["x", "y"], Verdict("tie")),
        ("p", ["a"], Verdict.scored(1.0)),
        ("none", ["a", "b"], SKIPPED),
    )
    assert [found.prompt_id for found in evidence_in(table)] == ["q", "silent", "p"]


# --- algebra ------------------------------------------------------------------------------------

LETTERS = "abcd"
ranks = st.lists(st.integers(1, 4), min_size=4, max_size=4)
comparisons = st.lists(
    st.tuples(st.sampled_from([*combinations(LETTERS, 2)]), st.booleans(), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


def as_said(comparisons):
    """Each (two responses, whether they are shown the other way round, P(first better))."""
    for letters, turned, p in comparisons:
        shown = letters[::-1] if turned else letters
        yield "".join(shown), Verdict.preferred(1 - p if turned else p)


def close(found, other):
    assert found.responses == other.responses
    np.testing.assert_allclose(found.probabilities, other.probabilities, atol=1e-12)
    np.testing.assert_allclose(found.scores, other.scores, atol=1e-12)


@given(ranks)
def test_a_ranking_equals_its_pairs(ranks):
    pairs = [
        (a + b, Verdict.scored(-float(i), -float(j)))
        for (a, i), (b, j) in combinations(zip(LETTERS, ranks, strict=True), 2)
    ]
    close(evidence((LETTERS, Verdict.ranked(ranks))), evidence(*pairs))


@given(ranks, st.permutations(range(4)))
def test_the_order_in_which_a_ranking_is_shown_does_not_matter(ranks, order):
    shown = "".join(LETTERS[i] for i in order)
    turned = evidence((shown, Verdict.ranked([ranks[i] for i in order])))
    close(turned, evidence((LETTERS, Verdict.ranked(ranks))))


@given(comparisons)
def test_of_two_that_were_compared_the_probabilities_add_up_to_one(comparisons):
    found = evidence(*as_said(comparisons))
    total = found.probabilities + found.probabilities.T
    known = ~np.isnan(found.probabilities)
    np.testing.assert_allclose(total[known], 1.0)
    assert (known == known.T).all()
    assert not known.diagonal().any()
    assert (known.sum(axis=1) > 0).all()
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in found.scores)


@given(comparisons, st.randoms())
def test_neither_the_order_shown_nor_that_of_the_rows_matters(comparisons, random):
    other = [(letters, not turned, p) for letters, turned, p in comparisons]
    random.shuffle(other)
    close(evidence(*as_said(comparisons)), evidence(*as_said(other)))


@given(comparisons)
def test_names_of_responses_do_not_matter(comparisons):
    renamed = dict(zip(LETTERS, "zyxw", strict=True))
    said = list(as_said(comparisons))
    found = evidence(*said)
    other = evidence(*(("".join(renamed[one] for one in shown), v) for shown, v in said))
    turned = [other.responses.index(renamed[one]) for one in found.responses]
    np.testing.assert_allclose(np.array(other.scores)[turned], found.scores, atol=1e-12)


def test_nothing_said_is_no_evidence():
    assert list(evidence_in(verdicts_table())) == []
    assert scores_in(verdicts_table()).schema["score"] == pl.Float64
