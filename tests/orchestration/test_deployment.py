"""Deployments: a worker runs them, a killed run is retried and goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from flows.cli import AWAITING, main
from flows.server import show_progress
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.runs import runs
from tests.people import PEOPLE, answer

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture
def deployed(settings, store, prefect, tmp_path, monkeypatch, capfd):
    """A project with one deployment, `align/tiny`, published twice; returns what was printed."""
    del settings["flow"]
    settings["training"] |= {"steps": 20, "save_every": 1}
    for name in ("tasks.py", "flows.py"):  # of the user's, in the worker's folder
        (tmp_path / name).write_text("raise SystemExit('not ours')")
    project = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())
    environment = project["deployments"][0]["work_pool"]["job_variables"]["env"]
    deployment = {
        "name": "tiny",
        "entrypoint": "flows.align.align",
        "work_pool": {"name": "prefopt", "job_variables": {"env": environment}},
        "parameters": {"config": settings},
    }
    project = {"name": "test", "pull": [], "deployments": [deployment]}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(project))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", prefect)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_WORKER_QUERY_SECONDS", "2")
    assert main(["deploy"]) == 0
    assert main(["deploy"]) == 0
    return capfd.readouterr().out


@pytest.fixture
def worker(deployed, command, tools):
    # Without a store of its own: that of the deployment counts.
    start = "worker", "start", "--pool", "prefopt"
    process = command(*start, program=("-m", "prefect"), PREFOPT_STORE="")
    yield process
    os.kill(process.pid, signal.SIGTERM)
    with_patience = 20
    try:
        process.wait(with_patience)
    except subprocess.TimeoutExpired:
        tools.kill(process)


def test_deploying_twice_leaves_one_of_everything(deployed, prefect):
    from prefect.client.orchestration import get_client

    from flows.dead_runs import ZOMBIES
    from flows.verbs.deploy import POOL

    with get_client(sync_client=True) as client:
        deployments = client.read_deployments()
        pools = [pool.name for pool in client.read_work_pools()]
        automations = client.request("POST", "/automations/filter", json={}).json()
    assert [d.name for d in deployments] == ["tiny"]
    assert pools.count(POOL) == 1
    assert [a["name"] for a in automations].count(ZOMBIES) == 1
    assert "prefect worker start --pool prefopt" in deployed


def test_a_config_is_deployed_with_whole_paths_changes_and_a_schedule(
    deployed, settings, prompts_file, config_file, command
):
    from prefect.client.orchestration import get_client

    file = config_file({"flow": "align"} | settings, "My loop.yaml")
    deploy = command("deploy", file, "seed=3", "--cron", "0 2 * * *")
    said, _ = deploy.communicate(timeout=120)
    assert deploy.returncode == 0, said
    assert "prefect deployment run align/my-loop" in said
    with get_client(sync_client=True) as client:
        made = client.read_deployment_by_name("align/my-loop")
    assert [schedule.schedule.cron for schedule in made.schedules] == ["0 2 * * *"]
    assert made.parameters["config"]["seed"] == 3
    assert made.parameters["config"]["prompts"]["params"]["path"] == str(prompts_file.resolve())
    sections = made.parameter_openapi_schema["definitions"]
    assert "aepo" in sections["SelectionConfig"]["properties"]["strategy"]["enum"]
    called = command("deploy", file, "name=crowd")
    said, _ = called.communicate(timeout=120)
    assert "prefect deployment run align/crowd" in said
    assert "It has no schedule" in said
    refused = command("deploy", file, "--cron", "at night")
    said, _ = refused.communicate(timeout=120)
    assert (refused.returncode, "'0 2 * * *'" in said) == (2, True)


def test_a_config_that_is_deployed_again_keeps_its_schedule_until_it_is_dropped(
    deployed, settings, config_file, capfd
):
    from prefect.client.orchestration import get_client

    file = str(config_file({"flow": "align"} | settings, "nightly.yaml"))

    def deploy(*options):
        """What is said, the schedules, and how many runs may go on at once."""
        assert main(["deploy", file, *options]) == 0
        said = capfd.readouterr().out
        with get_client(sync_client=True) as client:
            made = client.read_deployment_by_name("align/nightly")
            if made.schedules:  # as somebody does in Prefect's pages
                client.update_deployment_schedule(made.id, made.schedules[0].id, active=False)
        limit = made.global_concurrency_limit
        kept = [(each.schedule.cron, each.active) for each in made.schedules]
        return said, kept, limit and limit.limit

    assert deploy("--cron", "0 2 * * *")[1:] == ([("0 2 * * *", True)], 1)
    said, *made = deploy("seed=1")
    assert made == [[("0 2 * * *", False)], 1]
    assert "keeps its schedule, 0 2 * * * (paused)" in said
    assert deploy("--cron", "0 3 * * *")[1:] == ([("0 3 * * *", True)], 1)
    said, *made = deploy("--no-schedule")
    assert made == [[], None]
    assert "It has no schedule" in said


def test_the_server_plans_the_runs_of_a_schedule(deployed, settings, config_file, tools):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    file = str(config_file({"flow": "align"} | settings, "planned.yaml"))
    assert main(["deploy", file, "--cron", "0 2 * * *"]) == 0
    its = DeploymentFilter(name=DeploymentFilterName(any_=["planned"]))
    with get_client(sync_client=True) as client:
        planned = tools.until(lambda: client.read_flow_runs(deployment_filter=its), seconds=90)
    assert {run.state_name for run in planned} == {"Scheduled"}
    assert {run.next_scheduled_start_time.hour for run in planned} == {2}


def test_a_config_goes_to_a_pool_of_containers_that_says_what_they_are(
    deployed, settings, store, config_file, capfd
):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.workers.base import BaseJobConfiguration

    file = config_file({"flow": "align"} | settings, "mine.yaml")
    assert main(["deploy", str(file), "--pool", "containers"]) == 2
    assert "no work pool 'containers'" in capfd.readouterr().err
    job = {name: f"{{{{ {name} }}}}" for name in ("env", "image")}
    known = {
        "env": {"type": "object", "default": {"HF_HOME": "/models"}},
        "image": {"default": "i"},
    }
    template = {"job_configuration": job, "variables": {"properties": known}}
    pool = WorkPoolCreate(name="containers", type="docker", base_job_template=template)
    with get_client(sync_client=True) as client:
        client.create_work_pool(pool)
        assert main(["deploy", str(file), "--pool", "containers"]) == 0
        made = client.read_deployment_by_name("align/mine")
    assert "prefect worker start --pool containers" in capfd.readouterr().out
    assert made.work_pool_name == "containers"
    assert "image" not in made.job_variables
    values = made.job_variables
    rendered = asyncio.run(BaseJobConfiguration.from_template_and_values(template, values))
    assert rendered.env["HF_HOME"] == "/models"
    assert rendered.env["PREFOPT_STORE"] == str(store.root)


def test_a_worker_runs_a_config_with_the_store_where_it_was_deployed(
    worker, settings, store, config_file, command
):
    from prefect.deployments import run_deployment

    file = config_file({"flow": "align"} | settings, "mine.yaml")
    deploy = command("deploy", file)
    said, _ = deploy.communicate(timeout=120)
    assert deploy.returncode == 0, said
    done = run_deployment("align/mine", timeout=120, poll_interval=1)
    assert done.state_name == "Completed"
    assert LabelStore.of(store).counts()
    assert [run.state for run in runs(store)] == ["completed"]


def test_a_killed_run_is_retried_and_goes_on(worker, store, prefect, tools):
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment

    client = get_client(sync_client=True)
    run_id = run_deployment("align/tiny", timeout=0).id

    def state_is(*names):
        return lambda: client.read_flow_run(run_id).state_name in names

    def in_training():
        return list(store.root.glob("work/train-*/checkpoints/*/complete"))

    tools.until(in_training, seconds=120, every=0.01)
    os.kill(_process_of(run_id), signal.SIGKILL)
    tools.until(state_is("Crashed"), seconds=60)
    finished = len(list(store.manifests()))
    time.sleep(3)  # a retry right away would be overwritten by the worker's report of the crash
    retry = [sys.executable, "-m", "prefect", "flow-run", "retry", str(run_id)]
    subprocess.run(retry, check=True, capture_output=True)
    tools.until(state_is("Completed"), seconds=120)
    parts = tools.parts_of(run_id)
    assert finished > 5
    assert {("generate, round 1", "Cached"), ("train, round 2", "Completed")} <= _states(
        client, parts
    )
    ended = {part.name: part.state_name for part in client.read_flow_runs(flow_run_filter=parts)}
    assert set(ended.values()) == {"Completed"}, ended


@pytest.fixture
def people(settings):
    settings["annotation"] = PEOPLE


@pytest.mark.usefixtures("people")
def test_a_run_that_waits_for_people_holds_no_process_and_is_resumed(worker, store, tools):
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment

    from flows.waiting import resume

    client = get_client(sync_client=True)
    run_id = run_deployment("align/tiny", timeout=0).id

    def state_is(name):
        return lambda: client.read_flow_run(run_id).state_name == name

    def progress():
        """(Per cent, words) of the newest artifact that shows it."""
        wanted = {"flow_runs": {"id": {"any_": [str(run_id)]}}, "sort": "CREATED_DESC"}
        found = client.request("POST", "/artifacts/filter", json=wanted).json()
        shown = next(one for one in found if one["key"] == "labels-of-people")
        return round(shown["data"]), shown["description"]

    for labels in (6, 10):
        tools.until(state_is("Suspended"), seconds=120)
        tools.until(lambda: not _processes_of(run_id), seconds=30)
        if labels == 6:
            assert progress() == (0, "0 labels are given, 6 awaited.")
            answer(store, most=3)
            ((batch, given),) = open_batches(LabelStore.of(store))
            assert batch.name.startswith("tiny-0-")
            show_progress(store, batch, given)
            assert progress() == (50, "3 labels are given, 3 awaited.")
        assert answer(store) == labels
        assert resume(store) == 1
        tools.until(lambda: not state_is("Suspended")())
    tools.until(state_is("Completed"), seconds=120)
    assert resume(store) == 0


@pytest.mark.usefixtures("people")
def test_a_run_waits_for_questions_that_another_account_pays_for(
    worker, store, tools, settings, config_file, command
):
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment

    others = {"flow": "align"} | settings | {"annotation": PEOPLE | {"account": "other"}}
    run = command("run", config_file(others), "--no-server", PREFOPT_STORE=str(store.root))
    said, _ = run.communicate(timeout=120)
    assert run.returncode == AWAITING, said
    client = get_client(sync_client=True)
    run_id = run_deployment("align/tiny", timeout=0).id
    tools.until(lambda: client.read_flow_run(run_id).state_name == "Suspended", seconds=120)
    time.sleep(6)  # a worker looks for resumed runs every 2 s
    waiting = client.read_flow_run(run_id)
    assert (waiting.state_name, waiting.run_count) == ("Suspended", 1)


def _process_of(run_id):
    assert _processes_of(run_id), f"no process runs {run_id}"
    return _processes_of(run_id)[0]


def _processes_of(run_id):
    found, wanted = [], f"PREFECT__FLOW_RUN_ID={run_id}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _states(client, parts):
    """(name, state) of all task runs, also of those of an earlier try."""
    return {(t.name, t.state_name) for t in client.read_task_runs(flow_run_filter=parts)}
