"""What AEPO's selection refuses, and in which words."""

import numpy as np
import pytest

from prefopt_core.ground.errors import ConfigError, DataError
from prefopt_core.selection.aepo import aepo, objective


@pytest.mark.parametrize("k", [-1, 0, 1, 5])
def test_impossible_k_is_refused_with_what_to_change(k):
    with pytest.raises(ConfigError, match=rf"k={k} of N=4.*between 2 and N.*`selection\.k`"):
        aepo(np.eye(4), k)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 1), (2, 0), (1, 1)])
def test_entry_that_is_not_finite_is_named_by_its_place(value, place):
    similarity = np.eye(3)
    similarity[place] = value
    with pytest.raises(DataError, match=rf"similarity\[{place[0]}, {place[1]}\]"):
        aepo(similarity, 2)
    with pytest.raises(DataError, match=rf"similarity\[{place[0]}, {place[1]}\]"):
        objective(similarity, np.array([[0, 1]]), 1.0)


def test_matrix_that_is_not_square_is_refused():
    with pytest.raises(DataError, match=r"\(N, N\).*\(3, 4\)"):
        aepo(np.zeros((3, 4)), 2)


@pytest.mark.parametrize("weight", [-0.1, np.nan, np.inf])
def test_diversity_weight_must_be_a_number_of_at_least_zero(weight):
    with pytest.raises(ConfigError, match=r"selection\.params\.diversity_weight"):
        aepo(np.eye(3), 2, diversity_weight=weight)


@pytest.mark.parametrize("counts", [[1, 1], [1, 0, 1], [2, 2, 2, 2]])
def test_counts_must_be_positive_and_one_per_candidate(counts):
    with pytest.raises(DataError, match="Expected 3 counts of at least 1"):
        aepo(np.eye(3), 2, counts=np.array(counts))
