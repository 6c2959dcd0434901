"""The verb `deploy`: publish the runs of prefect.yaml as deployments of a Prefect server."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import cast

from flows.server import usual_server
from flows.terminal import say
from prefopt_core.ground.errors import PrefoptError

POOL = "prefopt"
ZOMBIES = "prefopt: a run without a heartbeat has crashed"
_PREFECT = """
import flows, runpy, tasks  # before Prefect puts the working folder, with what is in it, first
runpy.run_module("prefect", run_name="__main__", alter_sys=True)
"""
_SILENCE = timedelta(seconds=90)  # three heartbeats of 30 s, as set in prefect.yaml


def deploy() -> None:
    """Create the work pool and the automation for crashed runs, then deploy prefect.yaml.

    Raises:
        PrefoptError: There is no prefect.yaml, or no Prefect server answers.
    """
    if not Path("prefect.yaml").is_file():
        raise PrefoptError("There is no prefect.yaml here. Run this where yours lies.")
    url = usual_server()
    if url is None:
        raise PrefoptError(
            "No Prefect server answers. Start one with `prefopt ui`, or set PREFECT_API_URL."
        )
    _make_pool()
    _watch_for_zombies()
    command = [sys.executable, "-P", "-c", _PREFECT, "deploy", "--all", "--no-prompt"]
    subprocess.run(command, check=True)
    say(
        f"Deployed to {url.removesuffix('/api')}. Now a worker has to run here:\n"
        f"  PREFECT_API_URL={url} prefect worker start --pool {POOL}\n"
        f"  PREFECT_API_URL={url} prefect deployment run align/quickstart"
    )


def _make_pool() -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client:
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
        except ObjectAlreadyExists:
            return


def _watch_for_zombies() -> None:
    """Create an automation that marks runs without heartbeat as crashed, to free their slots."""
    from prefect.automations import Automation
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.events.schemas.events import ResourceSpecification

    # A suspended run waits for people, without a process: see flows/waiting.py.
    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Suspended")
    ended = {f"prefect.flow-run.{state}" for state in ends}
    beat = "prefect.flow-run.heartbeat"
    trigger = EventTrigger(
        after={beat},
        expect={beat, *ended},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=_SILENCE,
    )
    wanted = Automation(
        name=ZOMBIES,
        trigger=trigger,
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, message="No heartbeat for 90 s: the process is gone."
            )
        ],
    )
    try:
        there = cast(Automation, Automation.read(name=ZOMBIES))
    except ValueError:  # there is none of that name
        wanted.create()
        return
    if cast(EventTrigger, there.trigger).expect != trigger.expect:  # of an earlier version
        there.delete()
        wanted.create()
