"""All prompts at once: the pairs are those of the search prompt by prompt, to the last tie."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefopt_core.selection.aepo import aepo, objective, redundancy, representativeness
from prefopt_core.selection.best_pairs import PAIR_WEIGHTS, best_pairs, parts
from prefopt_core.selection.similarity import cosine

shapes = st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(1, 6))


def drawn(shape, seed, *, levels=None):
    rng = np.random.default_rng(seed)
    block = rng.normal(size=shape) if levels is None else rng.integers(-levels, levels + 1, shape)
    counts = rng.integers(1, 4, shape[:2])
    return block.astype(np.float16).astype(np.float32), counts


wide = st.tuples(st.integers(1, 3), st.integers(2, 9), st.sampled_from([1, 3, 6, 64]))


@given(wide, st.integers(0, 2**32), st.sampled_from([None, 1, 2]), st.sampled_from([0.0, 1, 3.5]))
def test_pairs_are_those_of_aepo_to_the_last_tie(shape, seed, levels, weight):
    block, counts = drawn(shape, seed, levels=levels)
    pairs = best_pairs(block, counts, 1.0, weight)
    for prompt, pair in enumerate(pairs.tolist()):
        u = cosine(block[prompt])
        assert pair == aepo(u, 2, diversity_weight=weight, counts=counts[prompt])


def test_ties_go_to_the_first_and_near_ties_to_the_better():
    base = np.eye(4, dtype=np.float32)[None]  # all pairs are equally good
    assert best_pairs(base, np.ones((1, 4), int), 1.0, 1.0).tolist() == [[0, 1]]
    near = np.array([[[1, 0, 0], [0, 1, 0], [-1e-6, 1, 0]]], dtype=np.float32)
    assert best_pairs(near, np.ones((1, 3), int), 0.0, 1.0).tolist() == [[0, 2]]
    assert best_pairs(np.zeros((1, 3, 5), np.float32), np.ones((1, 3), int), 1, 1).tolist() == [
        [0, 1]
    ]


def test_batch_does_not_matter():
    block, counts = drawn((30, 12, 48), 1)
    together = best_pairs(block, counts, 1.0, 1.0)
    alone = [best_pairs(block[i : i + 1], counts[i : i + 1], 1.0, 1.0)[0] for i in range(30)]
    assert together.tolist() == np.array(alone).tolist()


def test_two_candidates_are_the_pair_and_inputs_stay_as_they_are():
    block, counts = drawn((3, 2, 5), 2)
    before = block.copy()
    assert best_pairs(block, counts, 1.0, 1.0).tolist() == [[0, 1]] * 3
    assert np.array_equal(block, before)


@given(shapes, st.integers(0, 2**32), st.integers(2, 5))
def test_parts_are_those_of_the_matrix(shape, seed, k):
    block, counts = drawn(shape, seed)
    block[0, 0] = 0  # a row that points nowhere
    k = min(k, shape[1])
    rng = np.random.default_rng(seed)
    selected = np.array([rng.choice(shape[1], k, replace=False) for _ in range(shape[0])])
    rep, red = parts(block, counts, selected)
    for prompt, chosen in enumerate(selected):
        u = cosine(block[prompt])
        assert rep[prompt] == pytest.approx(
            representativeness(u, counts[prompt])[chosen].mean(), abs=1e-6
        )
        assert red[prompt] == pytest.approx(redundancy(u, chosen[None])[0], abs=1e-6)


@pytest.mark.parametrize(
    ("strategy", "params", "lam"),
    [("aepo", {"diversity_weight": 0.5}, 0.5), ("representative", {}, 0.0)],
)
def test_weights_are_the_strategy(strategy, params, lam):
    block, counts = drawn((1, 6, 4), 3)
    (pair,) = best_pairs(block, counts, *PAIR_WEIGHTS[strategy](**params))
    u = cosine(block[0])
    every = np.column_stack(np.triu_indices(6, 1))
    best = objective(u, every, lam, counts[0]).max()
    assert objective(u, pair[None], lam, counts[0])[0] == pytest.approx(best)
