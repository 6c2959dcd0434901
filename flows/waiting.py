"""Runs that wait for people: how a run ends while labels are missing, and how it goes on.

A waiting run holds no process. That of a deployment is suspended, and resumed when the last label
is given (`resume`); one that was started here ends, and the same command goes on from the store.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import uuid4

from prefect import flow
from prefect.artifacts import create_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import resume_flow_run, suspend_flow_run
from prefect.states import Cancelled

from flows.preflight import preflight
from prefopt_core.annotation.identity import identity
from prefopt_core.ground.errors import AwaitingLabelsError
from prefopt_core.labels.batch import open_batches
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore
from prefopt_core.store.artifacts import sha256_of
from prefopt_core.store.store import Store
from tasks.stage import current_store, inside_flow_run

_AWAITING = "Awaiting labels"
"""Name of the state in which a run ends that nobody can resume."""


def run(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Turn a function of one config into a Prefect flow that waits for people if it has to."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def waiting(config: Any) -> Any:
            try:
                with preflight(function, config):
                    return function(config)
            except AwaitingLabelsError as awaited:
                if not inside_flow_run():
                    raise
                return _end(awaited, identity(config.annotation))

        return flow(name=name)(waiting)

    return decorate


def result_of(function: Any, config: Any) -> Any:
    """Run a flow and return its result.

    Raises:
        AwaitingLabelsError: It waits for people.
    """
    state = function(config, return_state=True)
    if state.name == _AWAITING:
        raise AwaitingLabelsError(state.message)
    return state.result()


def _end(awaited: AwaitingLabelsError, people: AnnotatorIdentity) -> State[Any]:
    """Suspend the flow run; without a deployment that could resume it: the state it ends in."""
    context = FlowRunContext.get()
    assert context is not None
    create_progress_artifact(
        progress=100 * awaited.done / (awaited.done + awaited.left),
        key="labels-of-people",
        description=f"{awaited.done} labels are given, {awaited.left} awaited.",
    )
    started = context.flow_run
    if started is None or started.deployment_id is None:
        return Cancelled(name=_AWAITING, message=str(awaited))
    with get_client(sync_client=True) as client:
        client.update_flow_run(started.id, tags={*started.tags, _tag(current_store())})
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
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[_tag(store)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.PAUSED])),
    )
    with get_client(sync_client=True) as client:
        waiting = client.read_flow_runs(flow_run_filter=wanted)
    for suspended in waiting:
        resume_flow_run(suspended.id)
    return len(waiting)


def _tag(store: Store) -> str:
    return f"waits for labels in {sha256_of(str(store.root.resolve()))[:12]}"
