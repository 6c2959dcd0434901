"""AEPO's selection against a frozen oracle, against algebra, and against its own promises."""

import json
from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from prefopt_core.selection import best_subset
from prefopt_core.selection.aepo import (
    aepo,
    aepo_with_bound,
    objective,
    redundancy,
    representativeness,
)
from prefopt_core.selection.similarity import cosine

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/aepo.json").read_text())["cases"]


@st.composite
def problems(draw, smallest=3):
    """A similarity matrix of up to 7 candidates, a k and a λ. Not symmetric, any diagonal."""
    n = draw(st.integers(smallest, 7))
    similarity = draw(arrays(float, (n, n), elements=st.floats(-1, 1, width=32)))
    return similarity, draw(st.integers(2, n)), draw(st.floats(0, 3, width=32))


SEARCHES = {
    "proof": nullcontext,
    "swaps": lambda: patch.multiple(best_subset, ALWAYS=0, EFFORT=0),  # as where proof is too dear
}


def random_similarity(rng, n, kind):
    """Three textures: independent numbers, directions in 8 dimensions, five clusters."""
    if kind == "uniform":
        return rng.random((n, n))
    if kind == "directions":
        return cosine(rng.normal(size=(n, 8)))
    centres = rng.normal(size=(5, 16))
    return cosine(centres[rng.integers(5, size=n)] + 0.5 * rng.normal(size=(n, 16)))


def all_subsets(n, k):
    return np.array(list(combinations(range(n), k)))


def mean_similarity(similarity):
    return similarity[~np.eye(len(similarity), dtype=bool)].mean()


def value_of(similarity, selected, weight, counts=None):
    return objective(similarity, np.array([selected]), weight, counts)[0]


def by_definition(similarity, subset, weight):
    """f(S) of METHODS.md, term by term and without arrays."""
    n, k = len(similarity), len(subset)
    rep = sum(similarity[i][j] for j in subset for i in range(n) if i != j) / ((n - 1) * k)
    red = sum(similarity[i][j] for i in subset for j in subset if i != j) / (k * (k - 1))
    return rep - weight * red


# ---------------------------------------------------------------- against an oracle


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_finds_the_brute_force_optimum_and_its_parts(case):
    similarity = np.array(case["matrix"])
    selected = aepo(similarity, case["k"], diversity_weight=case["lam"])
    assert selected == case["optimum_ids"] == min(case["optimum_ties"])
    value = value_of(similarity, selected, case["lam"])
    assert value == pytest.approx(case["optimum_value"], abs=1e-12)
    parts = representativeness(similarity)[selected].mean(), redundancy(similarity, [selected])[0]
    assert parts == pytest.approx((case["optimum_rep"], case["optimum_div"]), abs=1e-12)


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_swap_search_finds_the_golden_optima_too(case):
    similarity = np.array(case["matrix"])
    with SEARCHES["swaps"]():
        assert aepo(similarity, case["k"], diversity_weight=case["lam"]) == case["optimum_ids"]


@given(problems())
def test_objective_is_the_published_one_term_by_term(problem):
    similarity, k, weight = problem
    subsets = all_subsets(len(similarity), k)
    expected = [by_definition(similarity.tolist(), subset, weight) for subset in subsets.tolist()]
    np.testing.assert_allclose(objective(similarity, subsets, weight), expected, atol=1e-12)


@given(problems())
def test_selects_the_first_of_the_best_subsets(problem):
    similarity, k, weight = problem
    # Multiples of 1/8 and 1/4: two values of f are equal, or far apart next to any rounding.
    similarity, weight = (similarity * 8).round() / 8, round(weight * 4) / 4
    subsets = all_subsets(len(similarity), k)
    values = objective(similarity, subsets, weight)
    best = subsets[values >= values.max() - 1e-9]
    assert aepo(similarity, k, diversity_weight=weight) == best[0].tolist()


# ---------------------------------------------------------------- against algebra


@given(problems())
def test_average_over_all_subsets_is_known_in_closed_form(problem):
    # Every ordered pair appears equally often in both terms, so the mean of f over all subsets
    # is (1 - λ) · mean similarity. No implementation detail can change that.
    similarity, k, weight = problem
    average = objective(similarity, all_subsets(len(similarity), k), weight).mean()
    assert average == pytest.approx((1 - weight) * mean_similarity(similarity), abs=1e-9)


@given(problems())
def test_taking_everything_is_worth_one_minus_the_weight_times_the_mean(problem):
    similarity, _, weight = problem
    selected = aepo(similarity, len(similarity), diversity_weight=weight)
    assert selected == list(range(len(similarity)))
    expected = (1 - weight) * mean_similarity(similarity)
    assert value_of(similarity, selected, weight) == pytest.approx(expected, abs=1e-9)


@given(problems())
def test_zero_weight_takes_the_largest_column_means(problem):
    similarity, k, _ = problem
    off_diagonal = np.where(np.eye(len(similarity), dtype=bool), 0, similarity)
    means = off_diagonal.sum(axis=0) / (len(similarity) - 1)
    selected = aepo(similarity, k, diversity_weight=0.0)
    assert means[selected].sum() == pytest.approx(np.sort(means)[-k:].sum(), abs=1e-9)


@given(problems())
def test_pair_is_worth_its_mean_representativeness_less_its_mean_similarity(problem):
    similarity, _, weight = problem
    r = representativeness(similarity)
    pairs = all_subsets(len(similarity), 2)
    i, j = pairs.T
    closed_form = (r[i] + r[j]) / 2 - weight * (similarity[i, j] + similarity[j, i]) / 2
    np.testing.assert_allclose(objective(similarity, pairs, weight), closed_form, atol=1e-12)


@given(problems())
def test_set_is_worth_the_mean_of_its_pairs(problem):
    # What `best_subset` rests on.
    similarity, k, weight = problem
    for subset in all_subsets(len(similarity), k):
        pairs = subset[all_subsets(k, 2)]
        mean = objective(similarity, pairs, weight).mean()
        assert value_of(similarity, subset, weight) == pytest.approx(mean, abs=1e-9)


@given(problems(), st.randoms(use_true_random=False))
def test_relabelling_the_candidates_relabels_the_selection(problem, random):
    similarity, k, weight = problem
    order = random.sample(range(len(similarity)), len(similarity))
    shuffled = similarity[np.ix_(order, order)]
    there = aepo(shuffled, k, diversity_weight=weight)
    back = sorted(order[i] for i in there)
    here = aepo(similarity, k, diversity_weight=weight)
    expected = pytest.approx(value_of(similarity, here, weight), abs=1e-9)
    assert value_of(shuffled, there, weight) == expected
    assert value_of(similarity, back, weight) == expected


@given(problems(), st.data())
def test_counts_stand_for_literally_repeated_candidates(problem, data):
    similarity, k, weight = problem
    n = len(similarity)
    counts = np.array(data.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    sample_of = np.repeat(np.arange(n), counts)
    first = np.cumsum(counts) - counts
    subsets = all_subsets(n, k)
    np.testing.assert_allclose(
        objective(similarity, subsets, weight, counts) + weight * redundancy(similarity, subsets),
        objective(similarity[np.ix_(sample_of, sample_of)], first[subsets], 0.0),
        atol=1e-12,
    )
    selected = aepo(similarity, k, diversity_weight=weight, counts=counts)
    best = objective(similarity, subsets, weight, counts).max()
    assert value_of(similarity, selected, weight, counts) == pytest.approx(best, abs=1e-9)


@given(problems())
def test_counts_of_one_change_nothing(problem):
    similarity, k, weight = problem
    ones = np.ones(len(similarity), dtype=int)
    assert aepo(similarity, k, diversity_weight=weight, counts=ones) == aepo(
        similarity, k, diversity_weight=weight
    )


def test_representativeness_is_one_product_with_the_sum_of_the_embeddings():
    rng = np.random.default_rng(0)
    e = rng.normal(size=(12, 5))
    e /= np.linalg.norm(e, axis=1, keepdims=True)
    counts = rng.integers(1, 4, size=12)
    expected = (e @ (counts @ e) - 1) / (counts.sum() - 1)
    np.testing.assert_allclose(representativeness(cosine(e), counts), expected, atol=1e-12)


# ---------------------------------------------------------------- promises


@given(problems(), st.floats(-1e6, 1e6))
def test_diagonal_never_counts_in_the_objective(problem, diagonal):
    similarity, k, weight = problem
    other = similarity.copy()
    np.fill_diagonal(other, diagonal)
    subsets = all_subsets(len(similarity), k)
    expected = objective(similarity, subsets, weight)
    assert np.array_equal(objective(other, subsets, weight), expected)


@given(problems(), st.floats(-1, 1), st.floats(-1, 1))
def test_diagonal_within_the_other_similarities_never_counts(problem, one, another):
    # A larger one would widen what counts as a tie, which is relative to the largest entry.
    similarity, k, weight = problem
    np.fill_diagonal(similarity, 0)
    largest = np.abs(similarity).max()
    found = []
    for part in (one, another):
        np.fill_diagonal(similarity, part * largest)
        found.append(aepo(similarity, k, diversity_weight=weight))
    assert found[0] == found[1]


@given(problems(), st.sampled_from(list(SEARCHES)))
def test_inputs_are_left_alone(problem, search):
    similarity, k, weight = problem
    before, counts = similarity.copy(), np.full(len(similarity), 2)
    with SEARCHES[search]():
        aepo(similarity, k, diversity_weight=weight, counts=counts)
    objective(similarity, np.array([[0, 1]]), weight, counts)
    assert np.array_equal(similarity, before)
    assert np.array_equal(counts, np.full(len(similarity), 2))


@given(problems())
def test_swap_search_never_claims_more_than_the_optimum(problem):
    similarity, k, weight = problem
    with SEARCHES["swaps"]():
        found = aepo(similarity, k, diversity_weight=weight)
    assert found == sorted(set(found))
    assert len(found) == k
    optimum = objective(similarity, all_subsets(len(similarity), k), weight).max()
    assert value_of(similarity, found, weight) <= optimum + 1e-9


def test_swap_search_misses_at_most_one_optimum_in_ten_and_by_little():
    # gap = (optimum - found) / (optimum - mean of all subsets); the published search: 0.06.
    rng, gaps = np.random.default_rng(0), []
    for trial in range(60):
        n, k = int(rng.integers(8, 20)), int(rng.integers(3, 6))
        similarity = random_similarity(rng, n, ["uniform", "directions", "clusters"][trial % 3])
        weight = float(rng.choice([0.5, 1.0, 2.0]))
        optimum = objective(similarity, all_subsets(n, k), weight).max()
        with SEARCHES["swaps"]():
            found = aepo(similarity, k, diversity_weight=weight)
        average = (1 - weight) * mean_similarity(similarity)
        gaps.append((optimum - value_of(similarity, found, weight)) / (optimum - average))
    assert np.mean(np.array(gaps) > 1e-9) <= 0.1
    assert np.mean(gaps) <= 1e-3


@pytest.mark.parametrize("climb", [1, best_subset.AGAIN])  # one start, or as many as there are
@pytest.mark.parametrize("seed", range(3))
def test_no_swap_improves_what_the_swap_search_returns(monkeypatch, seed, climb):
    monkeypatch.setattr(best_subset, "EFFORT", 0)
    monkeypatch.setattr(best_subset, "FIRST", climb)
    monkeypatch.setattr(best_subset, "AGAIN", climb)
    similarity = random_similarity(np.random.default_rng(seed), 40, "uniform")
    found = aepo(similarity, 8)  # C(40, 8) is 77 million
    value = value_of(similarity, found, 1.0)
    outsiders = [i for i in range(40) if i not in found]
    swaps = [[*(m for m in found if m != out), i] for out in found for i in outsiders]
    assert objective(similarity, np.array(swaps), 1.0).max() <= value + 1e-9
    assert aepo(similarity, 8) == found


@pytest.mark.parametrize("block", [1, best_subset.BLOCK])
@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("k", range(2, 10))
def test_ties_go_to_the_smallest_indices_whatever_the_rounding(monkeypatch, k, search, block):
    monkeypatch.setattr(best_subset, "BLOCK", block)
    noise = 1e-15 * np.random.default_rng(k).normal(size=(9, 9))
    with SEARCHES[search]():
        assert aepo(0.1 + noise, k) == list(range(k))


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("k", range(2, 7))
def test_of_equal_candidates_the_first_is_taken(k, search):
    # Every direction appears twice, once in the first six and once, rounded, in the last six.
    rng = np.random.default_rng(k)
    e = rng.normal(size=(6, 6))
    similarity = cosine(np.vstack([e, 3.0 * e[rng.permutation(6)]]))
    ties = all_subsets(12, k)
    with SEARCHES[search]():
        selected = aepo(similarity, k)
    values = objective(similarity, ties, 1.0)
    assert selected == ties[values >= values.max() - 1e-12][0].tolist()


@pytest.mark.parametrize("block", [1, 7, 50])
@pytest.mark.parametrize("k", range(3, 9))
def test_enumerating_in_small_blocks_changes_nothing(monkeypatch, block, k):
    similarity = random_similarity(np.random.default_rng(k), 9, "uniform").round(1)  # with ties
    expected = aepo(similarity, k)
    monkeypatch.setattr(best_subset, "BLOCK", block)
    assert aepo(similarity, k) == expected


def test_asymmetric_similarity_counts_for_the_column_that_is_selected():
    similarity = np.zeros((4, 4))
    similarity[:2, 2:] = 1.0  # everybody resembles 2 and 3, and they nobody
    assert representativeness(similarity).round(3).tolist() == [0, 0, 0.667, 0.667]
    assert aepo(similarity, 2, diversity_weight=0.0) == [2, 3]


def test_single_precision_and_integers_are_computed_in_double_precision():
    similarity = random_similarity(np.random.default_rng(0), 8, "uniform").astype(np.float32)
    assert objective(similarity, [[0, 1, 2]], 1.0).dtype == np.float64
    assert aepo(similarity, 3) == aepo(similarity.astype(float), 3)
    assert aepo(np.eye(4, dtype=int), 2) == [0, 1]


@given(problems())
def test_proof_says_that_nothing_is_better(problem):
    similarity, k, weight = problem
    found = aepo_with_bound(similarity, k, diversity_weight=weight)
    optimum = objective(similarity, all_subsets(len(similarity), k), weight).max()
    assert found.value == found.bound == pytest.approx(optimum, abs=1e-9)


@pytest.mark.parametrize("effort", [0, 2_000, 20_000])
@pytest.mark.parametrize("seed", range(5))
def test_proof_given_up_leaves_a_bound_that_holds(monkeypatch, seed, effort):
    similarity = random_similarity(np.random.default_rng(seed), 16, "directions")
    optimum = objective(similarity, all_subsets(16, 6), 1.0).max()
    monkeypatch.setattr(best_subset, "ALWAYS", 0)
    monkeypatch.setattr(best_subset, "EFFORT", effort)
    found = aepo_with_bound(similarity, 6)
    assert found.value == pytest.approx(value_of(similarity, found.members, 1.0))
    assert found.value - 1e-9 <= optimum <= found.bound + 1e-9


def test_proof_reaches_far_beyond_a_million_sets():
    rng = np.random.default_rng(0)
    similarity = cosine(rng.normal(size=(128, 384)))
    found = aepo_with_bound(similarity, 4)  # C(128, 4) is ten millions
    assert found.value == found.bound
