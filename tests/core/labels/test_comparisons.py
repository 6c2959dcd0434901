"""What is said of two responses, whatever was asked and in which order."""

import pytest

from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.evidence import scored
from tests.core.labels.said import verdicts


def said(*rows):
    columns = ("first", "second", "rater", "said")
    return comparisons(verdicts(*rows)).select(columns).rows()


def test_the_order_shown_is_undone():
    rows = [("p", "ab", "ann", 1.0), ("p", "ba", "bob", 0.0)]
    assert said(*rows) == [("pa", "pb", "ann", "first"), ("pa", "pb", "bob", "first")]


def test_two_orders_that_contradict_each_other_are_a_tie():
    assert said(("p", "ab", "llm", 0.8), ("p", "ba", "llm", 0.8)) == [("pa", "pb", "llm", "tie")]


def test_two_orders_of_which_one_is_surer_follow_that_one():
    rows = [("p", "ab", "llm", 0.9), ("p", "ba", "llm", 0.8)]
    assert comparisons(verdicts(*rows))["probability"].to_list() == [pytest.approx(0.55)]
    assert said(*rows) == [("pa", "pb", "llm", "first")]


def test_an_order_without_a_verdict_leaves_the_other_as_it_is():
    for nothing in ("skipped", "invalid"):
        rows = [("p", "ab", "llm", 0.2), ("p", "ba", "llm", nothing)]
        assert said(*rows) == [("pa", "pb", "llm", "second")]
        assert said(*rows[1:]) == []


def test_both_bad_is_no_tie():
    assert said(("p", "ab", "ann", "both_bad")) == [("pa", "pb", "ann", "both_bad")]
    assert said(("p", "ab", "ann", "tie")) == [("pa", "pb", "ann", "tie")]


def test_a_ranking_compares_every_two():
    found = said(("p", "bca", "ann", [-2, -2, -1]))
    assert [row[0] + row[1] + " " + row[3] for row in found] == [
        "papb first",
        "papc first",
        "pbpc tie",
    ]


def test_scores_of_single_responses_compare_those_of_one_rater():
    rows = [("p", "a", "rm", [1]), ("p", "b", "rm", [2]), ("q", "a", "rm", [3])]
    rows += [("p", "a", "human", [9])]
    assert said(*rows) == [("pa", "pb", "rm", "second")]
    assert scored(verdicts(*rows)).height == 4


def test_scores_of_a_comparison_are_no_scores_of_its_responses():
    assert scored(verdicts(("p", "ab", "rm", [1, 2]))).is_empty()


def test_people_of_one_annotator_are_raters_of_their_own():
    rows = [("p", "ab", "people/ann", 1.0), ("p", "ab", "people/bob", 0.0)]
    assert [row[2] for row in said(*rows)] == ["people: ann", "people: bob"]
