"""Other packages add strategies and annotators by entry points: a config names them like ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "wordy"
version = "1.2"
[project.entry-points."prefopt.strategies"]
longest = "wordy:longest"
[project.entry-points."prefopt.annotators"]
words = "wordy:words"
broken = "wordy:absent"
"""
MODULE = '''
from pydantic import PositiveInt
from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.labels.questions import Verdict

def longest(candidates, k, rng, *, descending: bool = True):
    """Take the longest responses."""
    order = sorted(range(len(candidates)), key=lambda i: len(candidates.responses[i]))
    return order[::-1][:k] if descending else order[:k]

def words(questions, *, least: PositiveInt = 1, threads: SpeedOnly[PositiveInt] = 1):
    """Count words."""
    for question in questions:
        yield Verdict.scored(max(least, len(question.responses[0].text.split())))
'''
RUN = {
    "flow": "aepo",
    "generation": {"generator": "file", "params": {"path": "pool.jsonl"}},
    "embedding": None,
    "selection": {"strategy": "longest"},
    "annotation": {"annotator": "words"},
    "budget": 4,
}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder into which such a package is installed."""
    pytest.importorskip("hatchling", reason="hatchling builds the package")
    source, target = (tmp_path_factory.mktemp(name) for name in ("source", "site"))
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "wordy.py").write_text(MODULE)
    build = ["--no-deps", "--no-build-isolation", "--target", str(target), str(source)]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *build], check=True, capture_output=True
    )
    return target


@pytest.fixture
def prefopt(site, tmp_path):
    """Run the command beside the package; returns (exit status, what it printed)."""

    def prefopt(*arguments):
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT))),
            "PREFOPT_STORE": str(tmp_path / "store"),
        }
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    return prefopt


@pytest.fixture
def run(tmp_path):
    """A config that names the members of the other package."""
    texts = ["one", "one two", "one two three"]
    rows = [{"prompt": p, "responses": [f"{p} {t}" for t in texts]} for p in ("a", "b")]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = tmp_path / "run.yaml"

    def run(**changes):
        path.write_text(json.dumps(RUN | changes))  # JSON is YAML
        return str(path)

    return run


def test_a_member_of_another_package_is_listed_with_its_settings(prefopt):
    status, printed = prefopt("list")
    assert status == 0
    assert "Take the longest responses. (wordy 1.2)" in printed
    assert "threads: default 1, changes speed only" in printed
    assert "'broken' of wordy 1.2 cannot be loaded from wordy:absent" in printed


def test_a_config_names_it_and_its_settings_are_checked(prefopt, run, tmp_path):
    status, printed = prefopt("run", run(), "--no-server")
    assert status == 0, printed
    assert prefopt("export", "out", "--format", "jsonl")[0] == 0
    pairs = [json.loads(line) for line in (tmp_path / "out/train.jsonl").read_text().splitlines()]
    assert {len(pair["chosen"][0]["content"].split()) for pair in pairs} == {4}
    status, printed = prefopt("plan", run(), "selection.params.descnding=false")
    assert status == 2
    assert "'longest' has no setting 'descnding'. Did you mean 'descending'?" in printed


def test_its_version_counts_and_what_changes_speed_only_does_not(prefopt, run, site):
    assert prefopt("run", run(), "--no-server")[0] == 0
    faster = {"annotator": "words", "params": {"threads": 4}}
    assert "0 of" in prefopt("plan", run(annotation=faster))[1]
    (metadata,) = site.glob("wordy-*.dist-info/METADATA")
    before = metadata.read_text()
    metadata.write_text(before.replace("Version: 1.2", "Version: 1.3"))
    try:
        printed = " ".join(prefopt("plan", run())[1].split())
    finally:
        metadata.write_text(before)
    assert "package wordy 1.2 → wordy 1.3" in printed
