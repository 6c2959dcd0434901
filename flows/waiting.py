"""Runs that wait for people: how a run ends while labels are missing, and how it goes on.

A waiting run holds no process. That of a deployment is suspended, and resumed when the last label
is given (`resume`); one that was started here ends, and the same command goes on from the store.
"""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any
from uuid import UUID, uuid4

from prefect import flow
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.client.schemas.sorting import ArtifactSort
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import resume_flow_run, suspend_flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Cancelled

from flows.dead_runs import crash_killed, watch
from flows.desk.addresses import told
from flows.lookup import stages_named
from flows.preflight import preflight
from flows.recording import name_here, named, recording
from prefopt_core.annotation.identity import identity
from prefopt_core.ground.errors import AwaitingLabelsError, NothingNewError, PrefoptError
from prefopt_core.labels.batch import Batch, name_account, open_batches
from prefopt_core.labels.standing import Progress
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.artifacts import sha256_of
from prefopt_core.store.store import Store
from tasks.session import current_store, executing
from tasks.stage import AWAITING, NOTHING_NEW, ended_by, inside_flow_run

_ARTIFACT = "labels-of-people"
"""Key of the artifact that shows the progress."""


def run(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Turn a function of one config into a Prefect flow that waits for people if it has to."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def waiting(config: Any) -> Any:
            config = named(name, config)
            if config.execution.stages:  # to know all stages takes a while
                stages_named(config.execution.stages, "execution.stages: ")
            try:
                with (
                    preflight(function, config),
                    recording(name, config),
                    executing(config.execution),
                ):
                    return function(config)
            except AwaitingLabelsError as error:
                people, store = identity(config.annotation), current_store()
                name_account(LabelStore.of(store), config.allowance.account, config.name)
                words = told(error, people, store)
                awaited = AwaitingLabelsError(words, error.left, error.done, error.accounts)
                if not inside_flow_run():
                    raise awaited from None
                return _end(awaited, people)
            except PrefoptError as error:
                if not inside_flow_run():
                    raise
                return ended_by(error)

        return flow(name=name, flow_run_name=partial(name_here, name))(waiting)

    return decorate


def result_of(function: Any, config: Any) -> Any:
    """Run a flow and return its result.

    Raises:
        AwaitingLabelsError: It waits for people.
        NothingNewError: It has nothing new to go on with.
    """
    watch()
    crash_killed(current_store())
    # Prefect's own heartbeats take a second to stop, see `recording`.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        state = function(config, return_state=True)
    if state.name == AWAITING:
        raise AwaitingLabelsError(state.message)
    if state.name == NOTHING_NEW:
        raise NothingNewError(state.message)
    return state.result()


def _end(awaited: AwaitingLabelsError, people: AnnotatorIdentity) -> State[Any]:
    """Suspend the flow run; without a deployment that could resume it: the state it ends in."""
    context = FlowRunContext.get()
    assert context is not None
    create_progress_artifact(key=_ARTIFACT, **_shown(awaited.done, awaited.left))
    started = context.flow_run
    if started is None or started.deployment_id is None:
        return Cancelled(name=AWAITING, message=str(awaited))
    store = current_store()
    batches = [Batch(people.name, people.guidelines, account) for account in awaited.accounts]
    tags = {*started.tags, _tag(store), *(_tag(store, batch) for batch in batches)}
    with get_client(sync_client=True) as client:
        client.update_flow_run(started.id, tags=tags)
    try:
        suspend_flow_run(key=uuid4().hex)  # a key of an earlier suspension would be ignored
    except Pause:
        if not _are_asked(people):  # the last label came when nobody could be resumed yet
            resume_flow_run(started.id)
        raise
    raise awaited


def _are_asked(people: AnnotatorIdentity) -> bool:
    """Whether these people have open questions, maybe left by another run, from its account."""
    found = open_batches(LabelStore.of(current_store()))
    asked = {(batch.annotator, batch.guidelines) for batch, _ in found}
    return (people.name, people.guidelines) in asked


def resume(store: Store) -> int:
    """Resume the runs that wait for labels in this store; those that still lack some wait again.

    Returns:
        How many.
    """
    with get_client(sync_client=True) as client:
        waiting = _suspended(client, _tag(store))
    for run_id in waiting:
        resume_flow_run(run_id)
    return len(waiting)


def show(store: Store, batch: Batch, progress: Progress) -> None:
    """Show how far a batch is at the suspended runs that wait for it."""
    with get_client(sync_client=True) as client:
        for run_id in _suspended(client, _tag(store, batch)):
            newest, *_ = client.read_artifacts(
                artifact_filter=ArtifactFilter(
                    key=ArtifactFilterKey(any_=[_ARTIFACT]),
                    flow_run_id=ArtifactFilterFlowRunId(any_=[run_id]),
                ),
                sort=ArtifactSort.CREATED_DESC,
            )
            update_progress_artifact(newest.id, **_shown(progress.given, progress.left))


def _shown(given: int, left: int) -> dict[str, Any]:
    return {
        "progress": 100 * given / (given + left),
        "description": f"{given} labels are given, {left} awaited.",
    }


def _suspended(client: SyncPrefectClient, tag: str) -> list[UUID]:
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[tag]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
    )
    return [waiting.id for waiting in client.read_flow_runs(flow_run_filter=wanted)]


def _tag(store: Store, batch: Batch | None = None) -> str:
    where = sha256_of(str(store.root.resolve()))[:12]
    return f"waits for labels in {where}" + (f", batch {batch.id}" if batch else "")
