"""Runs of `prefopt run` that are killed: Prefect says so, soon, and they go on."""

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def killed(settings, store, prefect, config_file, command, tools):
    """Start a run and kill it in training; returns what asks for states by name, and its config."""
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
            return {run.name: run.state for run in runs}

        return states, file

    return killed


def test_a_server_that_runs_on_marks_a_killed_run_and_its_part_within_two_minutes(killed, tools):
    def state(name):
        return states()[name].name

    states, _ = killed("left")
    assert (state("left"), state("round 1")) == ("Running", "Running")
    tools.until(lambda: not any(each.is_running() for each in states().values()), 120, every=1)
    assert (state("left"), state("round 1")) == ("Crashed", "Crashed")
    assert state("measure, start") == "Completed"


def test_the_next_run_marks_a_killed_one_and_the_same_command_goes_on(
    killed, prefect, monkeypatch, prefopt
):
    states, file = killed("again")
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    status, _, errors = prefopt("run", file)
    assert status == 0, errors
    for name in ("again", "round 1"):
        # The server, which would have said so later, says "No heartbeat".
        state = states()[name]
        assert (state.name, state.message[:22]) == ("Crashed", "The process was killed")
    _, output, _ = prefopt("runs")
    assert "again" in output
    assert "completed" in output
