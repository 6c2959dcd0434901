"""What a person sees of a run in Prefect's pages, in a real browser."""

import re
import subprocess

import pytest

from tests import chromium

pytestmark = [pytest.mark.slow, chromium.needs_chromium]


@pytest.fixture
def page(server, tmp_path):
    """The document of a page, once its scripts have filled it."""

    def page(path):
        url = server.removesuffix("/api") + path
        dump = ("--virtual-time-budget=15000", "--dump-dom", url)
        with chromium.started(
            tmp_path / "profile", *dump, stdout=subprocess.PIPE, text=True
        ) as process:
            return process.communicate(timeout=90)[0]

    return page


@pytest.fixture
def runs(given_candidates, store, prefect, tools):
    """A run of `aepo` on given candidates, and the same again from the store."""
    flow, config = tools.parsed(given_candidates | {"name": "mine"})
    return [flow(config, return_state=True).state_details.flow_run_id for _ in range(2)]


def test_pages_of_a_run_show_what_was_cached_and_its_report(runs, page, tools):
    from prefect.client.orchestration import get_client

    again = tools.parts_of(runs[1])
    with get_client(sync_client=True) as client:
        (task_run,) = (
            t for t in client.read_task_runs(flow_run_filter=again) if t.name == "pair, round 1"
        )
        artifacts = client.read_artifacts(flow_run_filter=again)
    (report,) = (a for a in artifacts if a.key == "mine-round-1")
    (pairs,) = (a for a in artifacts if a.key == "mine-round-1-pairs")

    stage = page(f"/runs/task-run/{task_run.id}")
    badge = re.search(r"state-badge__icon.*?<span>(\w+)</span>", stage, re.DOTALL)
    assert badge is not None
    assert badge[1] == "Cached"
    assert task_run.name in stage

    figures = page(f"/artifacts/artifact/{report.id}")
    assert "<table" in figures
    assert "gold pairs" in figures

    examples = page(f"/artifacts/artifact/{pairs.id}")
    assert "Question 1" in examples
    assert "4 of 4 pairs of round 1" in examples
