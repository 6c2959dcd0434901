"""Configs as people write them."""

import pytest
import yaml

from prefopt_core.experiments.sources import load_run
from tests.core.experiments.smallest import FLOWS


@pytest.fixture
def load(write, monkeypatch, tmp_path):
    """Load a flow's smallest config with some settings changed."""
    monkeypatch.chdir(tmp_path)

    def load(flow="align", changes=None, **settings):
        write("run.yaml", yaml.safe_dump({"flow": flow} | FLOWS[flow] | settings))
        return load_run("run.yaml", changes or {})[1]

    return load
