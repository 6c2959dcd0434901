"""An error in a function of the user's: what it says, without Prefect and in it."""

import re

import pytest

JUDGE = """
from rubric import mean

def score(prompt, response):
    return 1.0 if "Answer 0" in response else mean([])
"""
RUBRIC = "def mean(points):\n    return sum(points) / len(points)\n"


@pytest.fixture
def failing(given_candidates, write, config_file):
    """The config of a run whose judge divides by nothing, in a module beside it."""
    write("rubric.py", RUBRIC)
    function = f"{write('judge.py', JUDGE)}:score"
    settings = given_candidates | {"seed": 1}
    settings["annotation"] = {"annotator": "function", "params": {"function": function}}
    return config_file(settings)


def test_it_names_the_users_lines_what_was_asked_and_what_is_kept(prefopt, failing, store):
    code, _, error = prefopt("run", failing, "--no-server")
    assert (code, len(error.splitlines())) == (2, 1)
    assert re.search(
        r"judge\.py:score raised ZeroDivisionError: division by zero \("
        r"\S+/judge\.py, line 5: `return 1\.0 if .* else mean\(\[\]\)`, then "
        r"\S+/rubric\.py, line 2: `return sum\(points\) / len\(points\)`\), asked for the response "
        r"'Answer \d to \d' to the prompt 'Question \d'\. (The labels it gave are kept|Mend)",
        error,
    )
    assert not [work for work in (store.root / "work").glob("*") if not any(work.iterdir())]


@pytest.mark.slow
def test_in_prefect_it_is_the_state_and_no_traceback(prefopt, failing, store, server, monkeypatch):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setenv("PREFECT_API_URL", server)
    with temporary_settings({PREFECT_API_URL: server}):
        code, _, error = prefopt("run", failing)
        assert (code, len(error.splitlines())) == (2, 1)
        APILogWorker.drain_all(timeout=10)
        with get_client(sync_client=True) as client:
            run = max(client.read_flow_runs(), key=lambda run: run.created)
            of_run = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run.id]))
            logs = [log.message for log in client.read_logs(of_run)]
            tasks = [
                task.state
                for task in client.read_task_runs()
                if task.flow_run_id == run.id and task.state.is_failed()
            ]
    message = error.removeprefix("prefopt: ").strip()
    assert run.state.is_failed()
    assert [run.state.message, *(state.message for state in tasks)] == [message] * 2
    assert any("ZeroDivisionError" in log for log in logs)
    assert not any("Traceback" in log for log in logs)
