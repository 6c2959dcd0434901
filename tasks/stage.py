"""Running stages: decorators, sessions, plans, observers; inside a flow run as Prefect tasks.

The only module that uses Prefect's tasks. Prefect retries, schedules and shows stages; results are
cached in our store, not by Prefect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast

import polars as pl

from prefopt_core.ground import progress
from prefopt_core.ground.errors import AwaitingLabelsError
from prefopt_core.ground.spending import adding_up
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.stage import Outcome, Stage, stage_store
from prefopt_core.store.store import Store
from tasks.progress import ProgressArtifact

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Artifact | Folder)


class Observer(Protocol):
    """Receives the start, the progress callbacks and the outcome of every stage."""

    def started(self, stage: str) -> None:
        """Called when a stage starts."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Progress callback: `done` of `total` units of the stage are finished."""

    def finished(self, stage: str, outcome: Outcome) -> None:
        """Called when a stage has its result."""

    def noticed(self, text: str) -> None:
        """Called when something doubtful is found."""


@dataclass(frozen=True)
class Planned:
    """A planned stage: hit or miss, and labels; stands in for its result while planning.

    Attributes:
        stage: Its name.
        state: "hit" or "miss".
        reason: Why it would run.
        labels: How many labels it would buy, at most.
        found: Its result, of a hit.
        arguments: What it would be called with, by name.
    """

    stage: str
    state: str
    reason: str
    labels: int = 0
    found: Artifact | Folder | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """How the stages of this process run, beyond what their configs say.

    Attributes:
        refresh: Stages that compute even what is in the store.
        observer: Is called when stages start, progress and finish.
        plan: If not None, stages are not run but appended here as `Planned`.
        pages: Whether runs write a report page to the store.
        store: Where results live; None: at `$PREFOPT_STORE`.
        doubts: What was doubtful about the config before the run; None: nobody has looked.
    """

    refresh: frozenset[str] = frozenset()
    observer: Observer | None = None
    plan: list[Planned] | None = None
    pages: bool = True
    store: Store | None = None
    doubts: tuple[str, ...] | None = None

    def opened(self) -> Store:
        """The store of this session."""
        return self.store or stage_store()


_session: ContextVar[Session] = ContextVar("session", default=Session())  # noqa: B039, frozen


@contextmanager
def session(session: Session) -> Iterator[None]:
    """Make `session` the current session within the block."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def current_store() -> Store:
    """The store of the current session."""
    return _session.get().opened()


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
        current = _session.get()
        if current.plan is not None:
            return cast(R, self._plan(arguments, current.plan, current.refresh))
        # `current` is passed on: Prefect may run the task in a thread with other context variables.
        run = _prefect_run if inside_flow_run() else _run
        return cast(R, run(self.spec, arguments, current).value)

    def _plan(
        self, arguments: Mapping[str, Any], plan: list[Planned], refresh: frozenset[str]
    ) -> Any:
        waiting = [a.stage for a in _flat(arguments.values()) if isinstance(a, Planned)]
        if waiting:
            found: Outcome | str = f"waits for {waiting[0]}"
        elif self.spec.name in refresh:
            found = "refresh asked for"
        else:
            found = self.spec.find(current_store(), arguments)
        if isinstance(found, Outcome):
            plan.append(Planned(self.spec.name, "hit", "", 0, found.value, arguments))
            return found.value
        if waiting:
            labels = arguments["labels"] if self.spec.labels else 0
        else:
            labels = self.spec.labels_wanted(current_store(), arguments)
        plan.append(Planned(self.spec.name, "miss", found, labels, None, arguments))
        return plan[-1]


def stage(
    name: str,
    *,
    table: str,
    version: int,
    by_shard: bool = False,
    labels: Callable[..., int] | None = None,
) -> Callable[[Callable[..., pl.DataFrame | list[pl.DataFrame]]], StageTask[Artifact]]:
    """Turn a function that returns a table into a cached stage; see `store.stage.Stage`."""

    def decorate(function: Callable[..., pl.DataFrame | list[pl.DataFrame]]) -> StageTask[Artifact]:
        return StageTask(Stage(name, function, version, table, by_shard, labels))

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


def _run(
    spec: Stage,
    arguments: Mapping[str, Any],
    session: Session,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Run the stage in this process; `on_progress` is called besides the session's observer."""
    observer, shards = session.observer, [0, 1]

    def progressed(done: int, total: int) -> None:
        # Progress of the whole stage: finished shards, plus the fraction of the running one.
        units = 1000
        overall = shards[0] * units + units * done // max(total, 1)
        on_progress(overall, shards[1] * units)
        if observer:
            observer.progressed(spec.name, overall, shards[1] * units)

    def on_part(done: int, total: int) -> None:
        shards[:] = [done, total]
        progressed(0, 1)

    if observer:
        observer.started(spec.name)
    with progress.listening(progressed), adding_up() as spent:
        outcome = spec.run(
            session.opened(), arguments, refresh=spec.name in session.refresh, on_part=on_part
        )
    outcome = replace(outcome, spent=str(spent))
    if observer:
        observer.finished(spec.name, outcome)
    return outcome


def notice(text: str) -> None:
    """Tell the session's observer of something doubtful; without one, the log."""
    observer = _session.get().observer
    observer.noticed(text) if observer else log.warning(text)


def planning() -> bool:
    """Whether stages are planned instead of run."""
    return _session.get().plan is not None


def leaves_pages() -> bool:
    """Whether a run writes its report page: not while planning, nor within `part_of_more`."""
    return _session.get().pages and not planning()


def doubts_before() -> tuple[str, ...] | None:
    """What was doubtful about the config before the run; None: nobody has looked."""
    return _session.get().doubts


@contextmanager
def listing() -> Iterator[list[Planned]]:
    """Within the block, stages are not run but listed."""
    stages: list[Planned] = []
    with session(replace(_session.get(), plan=stages)):
        yield stages


def looked_at(doubts: Sequence[str]) -> AbstractContextManager[None]:
    """Within the block, these are the doubts about the config; nobody has to look again."""
    return session(replace(_session.get(), doubts=tuple(doubts)))


def part_of_more() -> AbstractContextManager[None]:
    """Within the block, runs write no report pages of their own: they are runs of a comparison."""
    return session(replace(_session.get(), pages=False))


def inside_flow_run() -> bool:
    """Whether this code runs inside a Prefect flow run, so that stages become its tasks."""
    import sys

    if "prefect" not in sys.modules:  # not imported here: that takes a second
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


def _prefect_run(spec: Stage, arguments: Mapping[str, Any], session: Session) -> Outcome:
    from prefect import task
    from prefect.cache_policies import NO_CACHE
    from prefect.states import Cancelled, Completed

    # Artifacts are parameters of the task, so that Prefect draws the dependencies of stages.
    awaited: list[AwaitingLabelsError] = []

    def run(**given: Any) -> Any:
        try:
            outcome = _run(spec, given, session, ProgressArtifact(spec.name))
        except AwaitingLabelsError as error:  # nothing failed
            awaited.append(error)
            return Cancelled(name="Awaiting labels", message=str(error))
        name = "Cached" if outcome.cached else None
        return Completed(name=name, message=str(outcome), data=outcome)

    prefect_task = task(name=spec.name, cache_policy=NO_CACHE, persist_result=False)(run)
    state = prefect_task(**arguments, return_state=True)
    if awaited:
        raise awaited[0]
    return cast(Outcome, state.result())
