"""Cosine similarity against arithmetic, and where floats usually break it."""

import numpy as np
import pytest

from prefopt_core.ground.errors import DataError
from prefopt_core.selection.similarity import cosine


def test_known_angles():
    similarity = cosine(np.array([[2.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-5.0, 0.0]]))
    half = np.sqrt(0.5)
    expected = [[1, 0, half, -1], [0, 1, half, 0], [half, half, 1, -half], [-1, 0, -half, 1]]
    np.testing.assert_allclose(similarity, expected, atol=1e-15)


def test_result_is_symmetric_float64_within_bounds_and_leaves_its_input_alone():
    embeddings = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    before = embeddings.copy()
    similarity = cosine(embeddings)
    assert similarity.dtype == np.float64
    assert np.array_equal(similarity, similarity.T)
    assert np.abs(similarity).max() <= 1.0
    assert np.array_equal(embeddings, before)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_length_does_not_matter(scale):
    embeddings = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_allclose(cosine(embeddings * scale), cosine(embeddings), atol=1e-12)


def test_row_of_zeros_is_similar_to_nothing():
    assert cosine(np.array([[0.0, 0.0], [1.0, 2.0]])).round(9).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_value_that_is_not_finite_is_named_by_its_row(value):
    embeddings = np.ones((3, 2))
    embeddings[1, 1] = value
    with pytest.raises(DataError, match="Embedding 1 of 3"):
        cosine(embeddings)
