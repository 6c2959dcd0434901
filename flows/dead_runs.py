"""Runs whose process was killed: what marks them as crashed in Prefect.

A server that runs on sees that heartbeats are missing (`watch`). Where it ended with the run, as
one that `prefopt run` had started, the next `prefopt run` or `prefopt ui` sees that nobody holds
the run's lock (`crash_killed`).
"""

from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from prefopt_core.store.runs import note, runs
from prefopt_core.store.store import Store
from tasks.stage import AWAITING

ZOMBIES = "prefopt: a run without a heartbeat has crashed"
SILENCE = timedelta(seconds=90)  # three heartbeats of 30 s


def crash_killed(store: Store) -> None:
    """Mark runs of this store, and their parts, as crashed if they were killed.

    Those of deployments are left to their workers, which may be about to try again.
    """
    for run in runs(store):
        if run.state == "killed" and run.ended is None and run.flow_run:
            with get_client(sync_client=True) as client:
                _crash(client, UUID(run.flow_run))
            note(store, run.name, state="killed", ended=run.started)


def _crash(client: SyncPrefectClient, run_id: UUID) -> None:
    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:  # it was on another server
        return
    parts = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id]))
    for each in [run, *client.read_flow_runs(flow_run_filter=parts)]:
        if each.deployment_id is None and _is_running(each):
            message = "The process was killed; the same command goes on from the store."
            client.set_flow_run_state(each.id, Crashed(message=message), force=True)


def _is_running(run: FlowRun) -> bool:
    return run.state is not None and run.state.is_running()


def watch() -> None:
    """Create an automation that marks runs without heartbeat as crashed, to free their slots."""
    # A suspended run waits for people, without a process: see flows/waiting.py.
    ends = ("Completed", "Failed", "Cancelled", "Crashed", "Suspended", AWAITING)
    ended = {f"prefect.flow-run.{state}" for state in ends}
    beat = "prefect.flow-run.heartbeat"
    trigger = EventTrigger(
        after={beat},
        expect={beat, *ended},
        match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=SILENCE,
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
