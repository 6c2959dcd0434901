"""What labels of a prompt add: their order and the worth of the first m, against algebra."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core.selection.aepo import aepo, objective, pair_worth, representativeness
from prefopt_core.selection.gains import coverage_totals, objective_totals, spending_order
from prefopt_core.selection.similarity import cosine


@st.composite
def prompts(draw, smallest=2):
    """The similarities and the counts of up to 7 candidates."""
    n = draw(st.integers(smallest, 7))
    similarity = cosine(draw(arrays(float, (n, 3), elements=st.floats(-1, 1, width=16))))
    return similarity, np.array(draw(st.lists(st.integers(1, 3), min_size=n, max_size=n)))


@given(prompts(), st.floats(0, 3))
def test_pair_worth_is_the_objective_of_the_pair(prompt, weight):
    similarity, counts = prompt
    pairs = np.array(list(combinations(range(len(similarity)), 2)))
    worth = pair_worth(similarity, diversity_weight=weight, counts=counts)
    expected = objective(similarity, pairs, weight, counts)
    np.testing.assert_allclose(worth[pairs[:, 0], pairs[:, 1]], expected, atol=1e-12)


@given(prompts(), st.data())
def test_order_starts_with_the_best_pair_and_goes_on_greedily(prompt, data):
    similarity, counts = prompt
    chosen = data.draw(st.permutations(range(len(similarity))))
    selected = chosen[: data.draw(st.integers(2, len(chosen)))]
    order = spending_order(pair_worth(similarity, counts=counts), selected)
    assert sorted(order) == sorted(selected)
    assert order[0] < order[1]
    for m in range(2, len(order) + 1):
        kept, rest = order[: m - 1], sorted(set(selected) - set(order[: m - 1]))
        ways = combinations(sorted(selected), 2) if m == 2 else ([*kept, j] for j in rest)
        values = objective(similarity, np.array(list(ways)), 1.0, counts)
        taken = objective(similarity, np.array([order[:m]]), 1.0, counts)[0]
        assert taken == pytest.approx(values.max(), abs=1e-9)


@given(prompts())
def test_order_of_all_starts_with_aepos_pair(prompt):
    similarity, counts = prompt
    order = spending_order(pair_worth(similarity, counts=counts), range(len(similarity)))
    first, best = (
        objective(similarity, np.array([pair]), 1.0, counts)[0]
        for pair in (order[:2], aepo(similarity, 2, counts=counts))
    )
    assert first == pytest.approx(best, abs=1e-9)


def test_ties_go_to_the_smaller_index():
    assert spending_order(np.ones((4, 4)), [3, 1, 0, 2]) == [0, 1, 2, 3]


@given(prompts(), st.floats(0, 3))
def test_objective_totals_are_set_size_times_objective(prompt, weight):
    similarity, counts = prompt
    worth = pair_worth(similarity, diversity_weight=weight, counts=counts)
    order = spending_order(worth, range(len(similarity)))
    for m, total in enumerate(objective_totals(worth, order), 2):
        expected = m * objective(similarity, np.array([order[:m]]), weight, counts)[0]
        assert total == pytest.approx(expected, abs=1e-9)


@given(prompts())
def test_all_of_a_prompt_are_worth_nothing_at_weight_one(prompt):
    # The mean of f over all sets is 0 then (METHODS: 1 - λ), and there is only one set.
    similarity, _ = prompt
    worth = pair_worth(similarity)
    assert objective_totals(worth, range(len(worth)))[-1] == pytest.approx(0, abs=1e-9)


@given(prompts())
def test_coverage_rises_from_that_of_the_pair_to_that_of_all(prompt):
    similarity, counts = prompt
    order = spending_order(pair_worth(similarity, counts=counts), range(len(similarity)))
    totals = coverage_totals(similarity, order, counts)
    assert (np.diff(totals) >= -1e-12).all()
    pair = similarity[:, order[:2]].max(axis=1)
    assert totals[0] == pytest.approx(counts @ pair / counts.sum(), abs=1e-9)
    assert totals[-1] == pytest.approx(counts @ similarity.max(axis=1) / counts.sum(), abs=1e-9)


@given(prompts(), st.data())
def test_repeated_samples_count_as_often_as_they_were_drawn(prompt, data):
    similarity, counts = prompt
    sample_of = np.repeat(np.arange(len(counts)), counts)
    first = (np.cumsum(counts) - counts).tolist()
    order = data.draw(st.permutations(range(len(counts))))
    repeated = similarity[np.ix_(sample_of, sample_of)]
    np.testing.assert_allclose(
        coverage_totals(similarity, order, counts),
        coverage_totals(repeated, [first[j] for j in order]),
        atol=1e-12,
    )
    assert representativeness(repeated)[first] == pytest.approx(
        representativeness(similarity, counts), abs=1e-12
    )
