"""Parts of a run, such as a round: in Prefect a flow run within the run's, with stages of its own.

A block, not a function, so that a flow reads as its algorithm does: hence the engine by which
Prefect itself calls a flow.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from prefect import flow
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.flow_engine import FlowRunEngine
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from prefopt_core.ground.errors import PrefoptError
from tasks.session import Part, in_part
from tasks.stage import ended_by, inside_flow_run

BEAT_S = 30
"""Seconds from heartbeat to heartbeat."""


@contextmanager
def part(name: str, *given: Any) -> Iterator[None]:
    """Within the block, stages belong to one part of the run.

    Args:
        name: Such as "round 2"; its first word is the name of Prefect's flow.
        given: What the part starts from, for the arrows in Prefect's graph.
    """
    here = Part(name)
    with in_part(here):
        if not inside_flow_run():
            yield
        else:
            with _flow_run(here, given):
                yield


@contextmanager
def _flow_run(part: Part, given: tuple[Any, ...]) -> Iterator[None]:
    def nothing() -> None:
        """The block is what runs."""

    kind = re.split(r"\W", part.name)[0]
    described = flow(name=kind, flow_run_name=part.name, persist_result=False)(nothing)
    engine: FlowRunEngine[..., Any] = FlowRunEngine(described, wait_for=list(given))
    told: list[PrefoptError] = []
    # Prefect's own heartbeats take a second to stop.
    with (
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        engine.start(),
        engine.run_context(),
        beating(),
    ):
        try:
            yield
        except PrefoptError as error:
            told.append(error)
            engine.handle_success(ended_by(error))
        else:
            engine.handle_success(part.made)
    if told:
        raise told[0]
    engine.result()  # raises what the block raised; else what was made leads to arrows from here


@contextmanager
def beating() -> Iterator[None]:
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
