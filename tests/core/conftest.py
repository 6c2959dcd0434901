"""Stores and a comparison for one test."""

from pathlib import Path

import pytest
import yaml

from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.store.store import Store

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def responses(tmp_path, monkeypatch):
    """The store in which responses and answers bought from servers are kept."""
    monkeypatch.setenv("PREFOPT_STORE", str(tmp_path / "store"))
    return ResponseStore(tmp_path / "store")


@pytest.fixture
def preset():
    """The smallest comparison, to be changed at will."""
    return yaml.safe_load((REPOSITORY / "presets" / "tiny.yaml").read_text())
