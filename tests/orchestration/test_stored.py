"""Runs whose results are all in the store: the same as ever, without a Prefect server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefopt(given_candidates, config_file, store, tools, monkeypatch, capsys):
    """Run the command on a small config; returns what it prints, without the time it took."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.setattr("flows.server.USUAL_URL", f"http://127.0.0.1:{tools.free_port()}/api")
    path = config_file(given_candidates)

    def prefopt(*options):
        assert main(["run", str(path), *options]) == 0, capsys.readouterr().err
        return re.sub(r"aepo, \d+ s", "aepo", capsys.readouterr().out)

    return prefopt


@pytest.fixture
def left(store):
    """Bytes of all that a run leaves in the store, but for its record, which has the time."""

    def left():
        files = (p for p in store.root.rglob("*") if p.is_file() and p.name != "run.json")
        return {path.relative_to(store.root).as_posix(): path.read_bytes() for path in files}

    return left


@pytest.fixture
def no_server(monkeypatch):
    def refuse(tell):
        raise AssertionError("a server was to be started")

    monkeypatch.setattr("flows.server.own_server", refuse)


@pytest.mark.slow
def test_run_of_hits_starts_no_server_and_says_and_leaves_the_same(prefopt, left, no_server):
    prefopt("--no-server")
    before, said = left(), prefopt("--no-server")
    printed = prefopt()
    assert "Prefect      has no part in this run" in printed
    assert printed.splitlines()[:-1] == said.splitlines()
    assert left() == before


@pytest.mark.slow
def test_run_of_hits_imports_nothing_that_only_computing_needs(
    prefopt, given_candidates, config_file
):
    prefopt("--no-server")
    code = """
import sys
from flows.cli import main
assert main(sys.argv[1:]) == 0
heavy = {"prefect", "torch", "transformers", "scipy", "sklearn", "faiss", "matplotlib"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    typed = ["run", str(config_file(given_candidates)), "--no-server"]
    subprocess.run([sys.executable, "-c", code, *typed], cwd=ROOT, check=True)


@pytest.mark.slow
def test_report_that_is_gone_comes_back_byte_by_byte(prefopt, left, store, no_server):
    prefopt("--no-server")
    before = left()
    (report,) = store.root.glob("runs/*/report.html")
    report.unlink()
    prefopt()
    assert left() == before


@pytest.mark.slow
@pytest.mark.parametrize("what", ["refresh", "forgotten"])
def test_run_that_has_to_compute_is_shown_in_prefect(prefopt, store, no_server, what):
    prefopt("--no-server")
    if what == "forgotten":
        (manifest,) = (store.root / "manifests" / "pair").glob("*.json")
        manifest.unlink()
    with pytest.raises(AssertionError, match="a server was to be started"):
        prefopt(*(["--refresh", "pair"] if what == "refresh" else []))
    assert prefopt("--no-server").count("○") == (what == "forgotten")  # nothing was done before
