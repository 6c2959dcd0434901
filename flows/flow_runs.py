"""Flow runs in Prefect: the part of a run within the run's own, tags, heartbeats."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import Event, Thread
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.flow_engine import FlowRunEngine
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from prefopt_core.ground.errors import PrefoptError
from tasks.arrows import came_from
from tasks.session import Part
from tasks.stage import ended_by

BEAT_S = 30
"""Seconds from heartbeat to heartbeat."""


class _Made(list[Any]):
    """What a part made. Prefect knows a plain list by its address, which another one may get."""


@contextmanager
def flow_run_of(part: Part, given: tuple[Any, ...]) -> Iterator[None]:
    """Within the block, stages are tasks of a flow run of that part, which belongs to the run's.

    The engine is that by which Prefect itself calls a flow.
    """

    def nothing() -> None:
        """The block is what runs."""

    kind = re.split(r"\W", part.name)[0]
    described = flow(name=kind, flow_run_name=part.name, persist_result=False)(nothing)
    engine: FlowRunEngine[..., Any] = FlowRunEngine(described, wait_for=came_from(given))
    told: list[PrefoptError] = []
    # Prefect's own heartbeats take a second to stop.
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        engine.start(),
        engine.run_context(),
        _beating(),
    ):
        try:
            yield
        except PrefoptError as error:
            told.append(error)
            engine.handle_success(ended_by(error))
        else:
            engine.handle_success(_Made(part.made))
    if told:
        raise told[0]
    engine.result()  # raises what the block raised; else what was made leads to arrows from here


def alive() -> AbstractContextManager[None]:
    """Heartbeats, where Prefect's run sends none itself."""
    silent = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
    return _beating() if silent else nullcontext()


def tagged(name: str) -> str:
    """Give the flow run that this code is in a name as a tag; returns its id."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return ""
    here = context.flow_run
    here.tags = sorted({*here.tags, name})
    with get_client(sync_client=True) as client:
        client.update_flow_run(here.id, tags=here.tags)
    return str(here.id)


@contextmanager
def _beating() -> Iterator[None]:
    """Tell the server every `BEAT_S` that this flow run's process lives, until the block ends."""
    context, over = FlowRunContext.get(), Event()
    assert context is not None
    assert context.flow_run is not None
    resource = {
        "prefect.resource.id": f"prefect.flow-run.{context.flow_run.id}",
        "prefect.resource.name": context.flow_run.name,
    }

    def beat() -> None:
        while True:
            emit_event("prefect.flow-run.heartbeat", resource)
            if over.wait(BEAT_S):
                return

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
