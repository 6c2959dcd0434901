"""What a run is called, and what is kept under its name: its record, and a tag in Prefect."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.runtime import deployment
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY

from flows.parts import beating
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.continuing import continued, numbered
from prefopt_core.ground.errors import NothingNewError
from prefopt_core.store.runs import Run, recorded
from tasks.session import NotStored, command, current_store, leaves_pages
from tasks.stage import inside_flow_run


def named(flow: str, config: Experiment) -> Experiment:
    """The config with a name: its own, or one made of the deployment that is run, or the flow."""
    stem = str(deployment.name or flow) if inside_flow_run() else flow
    return numbered(config, current_store()).named(stem)


def name_here(flow: str) -> str:
    """The name of the run that Prefect is about to begin."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.parameters is not None
    return str(named(flow, context.parameters["config"]).name)


@contextmanager
def recording(flow: str, config: Experiment) -> Iterator[None]:
    """Keep the record of a run within the block; not while planning, nor within a comparison."""
    if not leaves_pages():
        yield
        return
    assert config.name is not None
    run = Run(
        name=config.name,
        flow=flow,
        settings=config.digest,
        model=_start_policy(config),
        started=time.time(),
        flow_run=_tagged(config.name),
        command=command(),
        config=config.as_yaml(flow),
        account=config.allowance.account if config.allowance else "",
    )
    with recorded(current_store(), run, undone_by=(NotStored, NothingNewError)), _alive():
        yield


def _start_policy(config: Experiment) -> str:
    if before := continued(config, current_store()):
        return f"policy of {before.name}"
    policy = getattr(config, "policy", None)
    return str(policy.params.get("path", policy.source)) if policy else ""


def _alive() -> AbstractContextManager[None]:
    """Heartbeats, where Prefect's run sends none itself."""
    silent = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
    return beating() if silent and inside_flow_run() else nullcontext()


def _tagged(name: str) -> str:
    """Give Prefect's run its name as a tag; returns its id, "" for a run without Prefect."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return ""
    here = context.flow_run
    here.tags = sorted({*here.tags, name})
    with get_client(sync_client=True) as client:
        client.update_flow_run(here.id, tags=here.tags)
    return str(here.id)
