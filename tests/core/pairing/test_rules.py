"""Pairing rules: the chosen one never scores below the rejected one, and ties make no pair."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.pairing import PAIRINGS

SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=6)


def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("rule", PAIRINGS)
@given(scores=SCORES)
def test_chosen_scores_above_rejected_and_no_pair_repeats(rule, scores):
    pairs = PAIRINGS[rule](scores, rng())
    assert all(scores[chosen] > scores[rejected] for chosen, rejected in pairs)
    assert len(pairs) == len(set(pairs))
    assert bool(pairs) == (len(set(scores)) > 1)


@given(scores=SCORES)
def test_best_against_worst_has_the_largest_margin_and_the_first_of_equals(scores):
    for chosen, rejected in PAIRINGS["best_against_worst"](scores, rng()):
        assert (chosen, rejected) == (scores.index(max(scores)), scores.index(min(scores)))


@given(scores=SCORES)
def test_all_pairs_leaves_out_ties_and_nothing_else(scores):
    found = {frozenset(pair) for pair in PAIRINGS["all_pairs"](scores, rng())}
    unequal = permutations(range(len(scores)), 2)
    assert found == {frozenset((i, j)) for i, j in unequal if scores[i] != scores[j]}


def test_best_against_random_draws_from_all_that_are_below():
    scores, rule = [2.0, 5.0, 5.0, 1.0, 0.0], PAIRINGS["best_against_random"]
    generator = rng()
    drawn = [rule(scores, generator)[0] for _ in range(60)]
    assert {chosen for chosen, _ in drawn} == {1}
    assert {rejected for _, rejected in drawn} == {0, 3, 4}
