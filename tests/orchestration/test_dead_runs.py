"""Runs of `prefopt run` that are killed: Prefect says so, soon, and they go on."""

import time

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def killed(settings, store, prefect, config_file, command, tools):
    """Start a run and kill it in training; returns what asks for its states, and its config."""
    from prefect.client.orchestration import get_client

    from prefopt_core.store.runs import find_run

    settings["training"] |= {"steps": 20, "save_every": 1}

    def killed(name):
        file = config_file(settings | {"name": name})
        process = command("run", file, PREFECT_API_URL=prefect, PREFOPT_STORE=str(store.root))
        tools.until(lambda: [*store.root.glob("work/train-*/checkpoints/*/complete")], 120, 0.01)
        tools.kill(process)
        process.wait()
        assert find_run(store, name).state == "killed"
        parts = tools.parts_of(find_run(store, name).flow_run)

        def states():
            with get_client(sync_client=True) as client:
                runs = client.read_flow_runs(flow_run_filter=parts)
            return {run.name: run.state_name for run in runs}

        return states, file

    return killed


def test_a_server_that_runs_on_marks_a_killed_run_and_its_part_within_two_minutes(killed, tools):
    states, _ = killed("left")
    assert (states()["left"], states()["round 1"]) == ("Running", "Running")
    tools.until(lambda: "Running" not in states().values(), seconds=120, every=1)
    assert (states()["left"], states()["round 1"]) == ("Crashed", "Crashed")
    assert states()["measure, start"] == "Completed"


def test_the_next_run_marks_a_killed_one_and_the_same_command_goes_on(
    killed, store, prefect, monkeypatch, prefopt
):
    states, file = killed("again")
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    started = time.monotonic()
    status, output, errors = prefopt("run", file)
    assert (status, errors) == (0, "")
    assert (states()["again"], states()["round 1"]) == ("Crashed", "Crashed")
    status, output, _ = prefopt("runs")
    assert "again" in output
    assert "completed" in output
    assert time.monotonic() - started < 85  # the server itself would not have seen it before
