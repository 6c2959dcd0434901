"""The verb `deploy`: publish a config, or the runs of prefect.yaml, to a Prefect server."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from flows.lookup import flow_of
from flows.planning import print_doubts
from flows.server import usual_server
from flows.terminal import Terminal, say
from flows.verbs.run import Changes, changes_of
from prefopt_core.experiments.anchoring import resolved
from prefopt_core.experiments.base import slug
from prefopt_core.experiments.checks import check
from prefopt_core.experiments.sources import load_run
from prefopt_core.ground.errors import ConfigError, PrefoptError
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.store import STORE
from tasks.session import current_store

POOL = "prefopt"
_ENVIRONMENT = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "DO_NOT_TRACK": "1",
    "PYTHONSAFEPATH": "1",
}
"""Of the process that a worker starts for a run; prefect.yaml says the same."""
_PREFECT = """
import flows, runpy, tasks  # before Prefect puts the working folder, with what is in it, first
runpy.run_module("prefect", run_name="__main__", alter_sys=True)
"""


def deploy(
    config: Annotated[
        str | None,
        Parameter(
            help="YAML file, or the name of a deployment in prefect.yaml",
            show_default="all of prefect.yaml here",
        ),
    ] = None,
    /,
    *changes: Changes,
    cron: Annotated[
        str | None,
        Parameter(
            help='when to run it, in UTC, one run at a time: "0 2 * * *"',
            show_default="the schedule it has",
        ),
    ] = None,
    no_schedule: Annotated[bool, Parameter(help="drop the schedule it has")] = False,
    pool: Annotated[
        str, Parameter(help="the work pool whose workers run it; any other must be there already")
    ] = POOL,
) -> None:
    """Create the work pool and the automation for crashed runs, then deploy.

    Raises:
        ConfigError: `cron` is no schedule, there is no such `pool`, nothing says of what, or the
            schedule is both given and dropped.
        PrefoptError: There is no prefect.yaml, or no Prefect server answers.
    """
    given = {"--cron": cron, "--no-schedule": no_schedule, "--pool": pool != POOL}
    if cron and no_schedule:
        raise ConfigError("--cron gives a schedule, --no-schedule drops it. Leave one of them out.")
    if config is None and any(given.values()):
        option = next(option for option, value in given.items() if value)
        raise ConfigError(
            f"{option} is for one config: `prefopt deploy my.yaml {option} …`. In prefect.yaml "
            "each deployment says its own."
        )
    if config is None and not Path("prefect.yaml").is_file():
        raise PrefoptError(
            "There is no prefect.yaml here. Run this where yours lies, or name a config: "
            "`prefopt deploy my.yaml`."
        )
    url = usual_server()
    if url is None:
        raise PrefoptError(
            "No Prefect server answers. Start one with `prefopt ui`, or set PREFECT_API_URL."
        )
    from flows.dead_runs import watch  # imports Prefect, which reads the server's address

    _find_pool(pool)
    watch()
    if config:
        name = _deploy(config, changes_of(changes), cron, pool, no_schedule=no_schedule)
    else:
        name = "align/quickstart"
        command = [sys.executable, "-P", "-c", _PREFECT, "deploy", "--all", "--no-prompt"]
        subprocess.run(command, check=True, env=os.environ | _store())
    where = " here" if pool == POOL else ""
    say(
        f"Deployed to {url.removesuffix('/api')}. Now a worker has to run{where}:\n"
        f"  PREFECT_API_URL={url} prefect worker start --pool {shlex.quote(pool)}\n"
        f"  PREFECT_API_URL={url} prefect deployment run {name}"
    )


def _deploy(
    source: str, changes: dict[str, Any], cron: str | None, pool: str, *, no_schedule: bool
) -> str:
    """Deploy one config under its name, else its file's; returns `flow/name`."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.types.entrypoint import EntrypointType

    flow, config = load_run(source, changes)
    print_doubts(check(config, LabelStore.of(current_store())), Terminal())
    stem = Path(source).stem
    made = config.model_copy(update={"name": None}).named(stem).name
    name = slug(stem if config.name == made else str(config.name))
    settings = resolved(config.to_change(), type(config))
    del settings["name"]  # each run has one of the deployment's and of what is overridden
    one = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    schedules = _schedules(f"{flow}/{name}", cron, no_schedule=no_schedule)
    deployment = flow_of(flow).to_deployment(
        name,
        description=f"{Path(source).resolve()}",
        parameters={"config": settings},
        schedules=schedules,
        concurrency_limit=one if schedules else None,
        tags=[POOL],
        work_pool_name=pool,
        job_variables={"env": _ENVIRONMENT | _store()},
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    deployment.apply()
    if not schedules:
        say("It has no schedule: `--cron` gives it one.")
    return f"{flow}/{name}"


def _schedules(deployment: str, cron: str | None, *, no_schedule: bool) -> list[Any]:
    """That of `cron`; else those that the server has for the deployment, if they are to stay."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.exceptions import ObjectNotFound

    if cron:
        try:
            schedule = CronSchedule(cron=cron, timezone="UTC")
        except ValueError:
            raise ConfigError(
                f"--cron is {cron!r}: it takes minute, hour, day, month and weekday, as "
                "'0 2 * * *'."
            ) from None
        say(f"Its schedule is {cron}, in UTC.")
        return [schedule]
    with get_client(sync_client=True) as client:
        try:
            had = client.read_deployment_by_name(deployment).schedules
        except ObjectNotFound:
            return []
    if no_schedule:
        return []
    for each in had:
        when = getattr(each.schedule, "cron", None) or "one that was made in Prefect"
        paused = "" if each.active else " (paused)"
        say(f"It keeps its schedule, {when}{paused}; `--no-schedule` drops it.")
    return [
        DeploymentScheduleCreate.model_validate(
            each.model_dump(include=set(DeploymentScheduleCreate.model_fields))
        )
        for each in had
    ]


def _store() -> dict[str, str]:
    """The store of the runs is that of this command, wherever the worker was started."""
    return {STORE: str(current_store())}


def _find_pool(name: str) -> None:
    """Make the usual pool if it is not there; of others only their owner knows the type."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(name)
        except ObjectNotFound:
            if name != POOL:
                raise ConfigError(
                    f"The server has no work pool {name!r}. `prefect work-pool ls` shows those it "
                    "has; `prefect work-pool create` makes one, see docs/operations.md."
                ) from None
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
