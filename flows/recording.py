"""What a run is called, and what is kept under its name: its record, and a tag in Prefect."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.continuing import continued, numbered, paid, unfinished
from prefopt_core.ground.errors import NothingNewError
from prefopt_core.store.runs import Run, recorded
from tasks.session import NotStored, command, current_store, leaves_pages, notice
from tasks.stage import inside_flow_run


def named(flow: str, config: Experiment) -> Experiment:
    """The config with a name: its own, or one made of the deployment that is run, or the flow."""
    if inside_flow_run():
        from prefect.runtime import deployment

        flow = str(deployment.name or flow)
    return paid(numbered(config, current_store()).named(flow), current_store(), command())


def name_here(flow: str) -> str:
    """The name of the run that Prefect is about to begin."""
    from prefect.context import FlowRunContext

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
    _tell_shared(config)
    flow_run, alive = _in_prefect(config.name)
    run = Run(
        name=config.name,
        flow=flow,
        settings=config.digest,
        model=_start_policy(config),
        started=time.time(),
        flow_run=flow_run,
        command=command(),
        config=config.as_yaml(flow),
        account=config.allowance.account if config.allowance else "",
    )
    with recorded(current_store(), run, undone_by=(NotStored, NothingNewError)), alive:
        yield


def _tell_shared(config: Experiment) -> None:
    """Say so where a run goes on with the budget of one whose settings were others."""
    before = unfinished(config, current_store(), command())
    if before and before.settings != config.digest:
        notice(
            f"The settings are not those of the run {before.name}, which is not completed; its "
            "budget goes on, and what it bought counts. Another `name:`, or "
            "`annotation.account`, makes another budget."
        )


def _start_policy(config: Experiment) -> str:
    if before := continued(config, current_store()):
        return f"policy of {before.name}"
    policy = getattr(config, "policy", None)
    return str(policy.params.get("path", policy.source)) if policy else ""


def _in_prefect(name: str) -> tuple[str, AbstractContextManager[None]]:
    """The id of Prefect's run, which gets a name as its tag, and its heartbeats."""
    if not inside_flow_run():
        return "", nullcontext()
    from flows.flow_runs import alive, tagged  # imports Prefect

    return tagged(name), alive()
