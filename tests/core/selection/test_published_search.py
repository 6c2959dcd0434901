"""What the benchmarks call the published search is the one its authors describe."""

import numpy as np
import pytest

from benchmarks.speed.published import published, score_by_products, score_by_sums
from prefopt_core.selection.aepo import objective

# Greedy alone takes {1, 3}; the best pair is {0, 3}.
HAND = np.array([[0, 0.9, 0.2, 0.1], [0.9, 0, 0.3, 0.2], [0.2, 0.3, 0, 0.4], [0.1, 0.2, 0.4, 0]])


@pytest.mark.parametrize("score", [score_by_products, score_by_sums])
def test_score_of_a_whole_set_is_the_objective(score):
    matrix = np.random.default_rng(0).uniform(size=(7, 7))
    np.fill_diagonal(matrix, 0)
    expected = objective(matrix, np.array([[1, 4, 6]]), 0.5)[0]
    assert score(matrix, [4, 1, 6], 3, 0.5) == pytest.approx(expected)


def test_member_taken_out_is_replaced_by_the_best_candidate():
    assert all(published(HAND, 2, np.random.default_rng(s)) == [0, 3] for s in range(5))
    tried = []

    def watched(matrix, members, k, weight):
        tried.append(len(members))
        return score_by_sums(matrix, members, k, weight)

    published(HAND, 2, np.random.default_rng(0), score=watched)
    # 4 and 3 sets to grow; each of 20 rounds scores 3 replacements, the set found and the old one.
    assert len(tried) == 4 + 3 + 20 * (3 + 2)
