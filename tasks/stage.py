"""Running stages: decorators and plans; inside a flow run as Prefect tasks.

The only module that uses Prefect's tasks. Prefect retries, schedules and shows stages; results are
cached in our store, not by Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

import polars as pl

from prefopt_core.execution.workers import Workers
from prefopt_core.ground import progress
from prefopt_core.ground.errors import AwaitingLabelsError, NothingNewError, PrefoptError
from prefopt_core.ground.progress import ProgressCallback
from prefopt_core.ground.spending import adding_up
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.coming import Coming
from prefopt_core.store.outcome import Outcome
from prefopt_core.store.running import in_role
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store
from tasks.progress import ProgressArtifact
from tasks.session import NotStored, Planned, Session, current_session, current_store, notice

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Artifact | Folder)

AWAITING = "Awaiting labels"
"""Name of Prefect's state of what ends while labels of people are missing."""
NOTHING_NEW = "Nothing new"
"""That of a run that has nothing to continue an earlier one with."""


STAGES: dict[str, Stage] = {}
"""Name → stage, filled when modules of `tasks` are imported."""


@dataclass(frozen=True)
class StageTask(Generic[R]):
    """A stage as flows call it: artifacts and folders in, one artifact or folder out.

    The parameters of its function are typed as tables and paths (see `store.opening`), not as the
    artifacts that flows pass, so calls are not checked by mypy; planning a run makes every call.
    """

    spec: Stage

    def __post_init__(self) -> None:
        assert self.spec.name not in STAGES, f"two stages are called {self.spec.name}"
        STAGES[self.spec.name] = self.spec

    def __call__(self, *args: Any, **kwargs: Any) -> R:
        """Plan the stage, run it as a Prefect task inside a flow run, or run it here."""
        arguments = self.spec.bind(*args, **kwargs)
        current = current_session()
        if current.plan is not None:
            return cast(R, self._plan(arguments, current.plan, current.refresh))
        if current.beside is not None:
            return cast(R, current.beside.call(self.spec, arguments, current))
        made = cast(R, compute(self.spec, arguments, current).value)
        if current.part:
            current.part.made.append(made)
        return made

    def _plan(
        self, arguments: Mapping[str, Any], plan: list[Planned], refresh: frozenset[str]
    ) -> Any:
        role = current_session().role
        waiting = [a.stage for a in _flat(arguments.values()) if isinstance(a, Planned)]
        if waiting:
            found: Outcome | str = f"waits for {waiting[0]}"
        elif self.spec.name in refresh:
            found = "refresh asked for"
        else:
            with in_role(role):
                found = self.spec.find(current_store(), arguments)
        if isinstance(found, Outcome):
            plan.append(Planned(self.spec.name, "hit", "", 0, found.value, arguments, role))
            return found.value
        if waiting:
            labels = arguments["labels"] if self.spec.labels else 0
        else:
            labels = self.spec.labels_wanted(current_store(), arguments)
        plan.append(Planned(self.spec.name, "miss", found, labels, None, arguments, role))
        return plan[-1]


def stage(
    name: str,
    *,
    table: str,
    version: int,
    by_shard: bool = False,
    labels: Callable[..., int] | None = None,
    local: Callable[..., bool] | None = None,
) -> Callable[[Callable[..., pl.DataFrame | list[pl.DataFrame]]], StageTask[Artifact]]:
    """Turn a function that returns a table into a cached stage; see `store.stage.Stage`."""

    def decorate(function: Callable[..., pl.DataFrame | list[pl.DataFrame]]) -> StageTask[Artifact]:
        return StageTask(Stage(name, function, version, table, by_shard, labels, local))

    return decorate


def folder_stage(name: str, *, version: int) -> Callable[[Callable[..., Path]], StageTask[Folder]]:
    """Turn a function that returns the path of a folder into a cached stage."""

    def decorate(function: Callable[..., Path]) -> StageTask[Folder]:
        return StageTask(Stage(name, function, version, None))

    return decorate


def _flat(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _flat(value)
        else:
            yield value


def compute(
    spec: Stage,
    arguments: Mapping[str, Any],
    session: Session,
    heard: ProgressCallback = lambda done, total: None,
    coming: Coming | None = None,
) -> Outcome:
    """Run a stage, as a Prefect task inside a flow run.

    Args:
        spec: The stage.
        arguments: By name; tables of a stage by shard may be `Coming`.
        session: Is passed on: a thread of Prefect may have other context variables.
        heard: Is told of progress besides the session's observer.
        coming: Is told of each shard.
    """
    run = _prefect_run if inside_flow_run() else _run
    return run(spec, arguments, session, heard, coming)


def _run(
    spec: Stage,
    arguments: Mapping[str, Any],
    session: Session,
    heard: ProgressCallback,
    coming: Coming | None = None,
) -> Outcome:
    observer, shards = session.observer, [0, 1]

    def progressed(done: int, total: int) -> None:
        # Progress of the whole stage: finished shards, plus the fraction of the running one.
        units = 1000
        overall = shards[0] * units + units * done // max(total, 1)
        heard(overall, shards[1] * units)
        if observer:
            observer.progressed(spec.name, overall, shards[1] * units)

    def on_part(done: int, total: int) -> None:
        shards[:] = [done, total]
        progressed(0, 1)

    if observer:
        observer.started(spec.name)
    refresh = spec.name in session.refresh
    logged = session.tracking.logged if session.tracking else None
    with in_role(session.role), progress.listening(progressed, logged), adding_up() as spent:
        if session.stored_only:
            outcome = _stored(spec, session.opened(), arguments, refresh)
        else:
            workers = workers_for(spec, session, arguments)
            outcome = spec.run(
                session.opened(),
                arguments,
                refresh=refresh,
                on_part=on_part,
                runner=workers,
                coming=coming,
            )
    outcome = replace(outcome, spent=str(spent))
    if observer:
        observer.finished(spec.name, outcome)
    return outcome


def workers_for(spec: Stage, session: Session, arguments: Mapping[str, Any]) -> Workers | None:
    """Who computes a stage; None: this process does."""
    workers = session.workers
    if workers is None or not (spec.by_shard or spec.name in workers.named):
        return None
    if not (why := spec.stays(session.opened(), arguments)):
        return workers
    if spec.name not in workers.left_out:
        workers.left_out.add(spec.name)
        notice(f"{spec.name} is computed here, not by workers: {why}.", session)
    return None


def _stored(spec: Stage, store: Store, arguments: Mapping[str, Any], refresh: bool) -> Outcome:
    found = "refresh asked for" if refresh else spec.find(store, arguments)
    if isinstance(found, str):
        raise NotStored(f"{spec.name}: {found}")
    return found


def inside_flow_run() -> bool:
    """Whether this code runs inside a Prefect flow run, so that stages become its tasks."""
    import sys

    if "prefect" not in sys.modules:  # not imported here: that takes a second
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def ended_by(error: PrefoptError) -> Any:
    """Prefect's state of what ends by an error that is told in a line: raised, it would log forty.

    Whoever asks the state for its result gets the error.
    """
    from prefect.states import Cancelled, Completed, Failed

    if isinstance(error, AwaitingLabelsError):  # nothing failed
        return Cancelled(name=AWAITING, message=str(error))
    if isinstance(error, NothingNewError):
        return Completed(name=NOTHING_NEW, message=str(error))
    return Failed(message=str(error), data=error)


def _prefect_run(
    spec: Stage,
    arguments: Mapping[str, Any],
    session: Session,
    heard: ProgressCallback,
    coming: Coming | None,
) -> Outcome:
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.states import Completed

    from tasks.arrows import came_from, comes_from_here

    told: list[PrefoptError] = []
    shown = ProgressArtifact(spec.name)

    def progressed(done: int, total: int) -> None:
        heard(done, total)
        shown(done, total)

    def run(given: Any) -> Any:
        if coming:
            comes_from_here(coming)
        try:
            outcome = _run(spec, arguments, session, progressed, coming)
        except PrefoptError as error:
            told.append(error)
            return ended_by(error)
        name = "Cached" if outcome.cached else None
        return Completed(name=name, message=str(outcome), data=outcome)

    prefect_task = task(
        name=spec.name,
        task_run_name=f"{spec.name}, {session.part.name}" if session.part else spec.name,
        cache_policy=NO_CACHE,
        persist_result=False,
    )(run)
    state = prefect_task(given=came_from(_flat(arguments.values())), return_state=True)
    if told:
        raise told[0]
    return cast(Outcome, state.result())
