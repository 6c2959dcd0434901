"""The session that stages run in: what is computed, planned or only looked up; who hears of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from prefopt_core.execution.settings import ExecutionConfig
from prefopt_core.execution.workers import Workers, hired
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.coming import Coming
from prefopt_core.store.running import stage_store
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store
from prefopt_core.tracking.tracking import Tracking
from tasks.progress import Observer

log = logging.getLogger(__name__)


class NotStored(BaseException):
    """A stage has to be computed in a session that does not; no `except` of a flow may take it."""


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
        part: The part of the run that it belongs to, such as "round 2"; "start" before all parts.
    """

    stage: str
    state: str
    reason: str
    labels: int = 0
    found: Artifact | Folder | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True)
class Part:
    """A part of a run, such as a round.

    Attributes:
        name: Stages have it behind their own names in Prefect: `generate, round 2`.
        made: What stages have made in it so far.
    """

    name: str
    made: list[Any] = field(default_factory=list)


class Beside(Protocol):
    """Where calls of stages are noted that are to run side by side; see `tasks.overlap`."""

    def call(self, spec: Stage, arguments: Mapping[str, Any], session: Session) -> Coming:
        """Note a call; what it returns stands in for its result."""


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
        part: The part of the run that stages belong to; None: to the run itself.
        command: What was typed to run it; "" if nobody typed a command.
        stored_only: A stage that is not in the store raises `NotStored`.
        tracking: The trackers of the run; None: it has none.
        workers: Compute shards in other processes; None: they are computed in this one.
        overlap: Whether stages of a block `overlapping` run side by side.
        beside: Where those of the block are noted; None: outside of one.
    """

    refresh: frozenset[str] = frozenset()
    observer: Observer | None = None
    plan: list[Planned] | None = None
    pages: bool = True
    store: Store | None = None
    doubts: tuple[str, ...] | None = None
    part: Part | None = None
    command: str = ""
    stored_only: bool = False
    tracking: Tracking | None = None
    workers: Workers | None = None
    overlap: bool = False
    beside: Beside | None = None

    def opened(self) -> Store:
        """The store of this session."""
        return self.store or stage_store()

    @property
    def role(self) -> str:
        """What results are made for: the name of the part; "start" before all parts."""
        return self.part.name if self.part else "start"


_session: ContextVar[Session] = ContextVar("session", default=Session())  # noqa: B039, frozen


@contextmanager
def session(session: Session) -> Iterator[None]:
    """Make `session` the current session within the block."""
    token = _session.set(session)
    try:
        yield
    finally:
        _session.reset(token)


def current_session() -> Session:
    """The session of the running code."""
    return _session.get()


def current_store() -> Store:
    """The store of the current session."""
    return _session.get().opened()


def notice(text: str, within: Session | None = None) -> None:
    """Tell the session's observer of something doubtful; without one, the log."""
    observer = (within or _session.get()).observer
    observer.noticed(text) if observer else log.warning(text)


def planning() -> bool:
    """Whether stages are planned instead of run."""
    return _session.get().plan is not None


def stored_only() -> bool:
    """Whether results are only looked up: a stage that is not in the store ends the run."""
    return _session.get().stored_only


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


def command() -> str:
    """What was typed to run this; "" if nobody typed a command."""
    return _session.get().command


def part_of_more() -> AbstractContextManager[None]:
    """Within the block, runs write no report pages of their own: they are runs of a comparison."""
    return session(replace(_session.get(), pages=False))


def in_part(part: Part) -> AbstractContextManager[None]:
    """Within the block, stages belong to that part of the run."""
    return session(replace(_session.get(), part=part))


@contextmanager
def executing(config: ExecutionConfig) -> Iterator[None]:
    """Within the block, shards are computed where `config` says, unless an outer block said so."""
    if _session.get().workers:
        yield
        return
    told = replace(_session.get(), overlap=config.overlap)
    with hired(config) as workers, session(replace(told, workers=workers)):
        yield
