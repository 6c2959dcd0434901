"""Label stores in which questions wait for people."""

import pytest

from tests.asked import Labels, question


@pytest.fixture
def desk(tmp_path):
    return Labels(tmp_path / "here")


@pytest.fixture
def elsewhere(tmp_path):
    """Another label store."""
    return Labels(tmp_path / "elsewhere")


@pytest.fixture
def ask():
    """The question on texts."""
    return question
