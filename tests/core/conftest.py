"""A store and a comparison for one test."""

from pathlib import Path

import pytest
import yaml

from prefopt_core.store.store import Store

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def preset():
    """The smallest comparison, to be changed at will."""
    return yaml.safe_load((REPOSITORY / "presets" / "tiny.yaml").read_text())
