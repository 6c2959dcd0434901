"""What a run tells its trackers: every figure once, however often the run is started.

The trainings of a run follow each other on one axis, the optimiser steps since its start; the
figures of a round stand where its training ends. While a training goes on its steps are told as
they come; those that did not (they are in the store, or another process took them) are told from
the training's log when the round is measured.

runs/<name>/.<tracker>.json  what a tracker was told
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import shorten

import polars as pl
from pydantic import Field, ValidationError

from prefopt_core.ground.foreign import visible
from prefopt_core.store.artifacts import Record
from prefopt_core.store.store import Store
from prefopt_core.tracking.trackers import TRACKERS, Opened, TrackedRun, opened, without_login
from prefopt_core.training.log import STEP_METRICS, steps_of

log = logging.getLogger(__name__)

_NOTED_S = 1.0
"""Seconds after which rows from the store are noted as told, which there may be thousands of."""
_LONGEST = 200
"""Characters that are shown of what a tool says when it fails."""
Mark = tuple[int, int]
"""(optimiser steps, rounds measured) since the run's start: grows from row to row."""


class Told(Record):
    """What a tracker was told of a run.

    Attributes:
        settings: Digest of the run's settings.
        project: That the tracker's run belongs to.
        id: By which the tracker knows it; "" until it does.
        where: How a person gets to see it.
        mark: That of the last row.
        rounds: Digests of the tables `metrics`; other ones make another run of the tracker's.
    """

    settings: str
    project: str
    id: str = ""
    where: str = ""
    mark: Mark = Field((-1, 0), strict=False)
    rounds: tuple[str, ...] = Field((), strict=False)


@dataclass(frozen=True)
class Row:
    """Figures that are told together."""

    mark: Mark
    values: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """A measured round: the rows of its training and its own, and the digest of its metrics."""

    digest: str
    rows: Sequence[Row]

    @property
    def mark(self) -> Mark:
        """Where it ends."""
        return self.rows[-1].mark


class Tracking:
    """The trackers of one run.

    Args:
        store: Where the run's folder is.
        runs: Tracker → the run as it is to be told of it.
        settings: Digest of the run's settings.
    """

    def __init__(self, store: Store, runs: Mapping[str, TrackedRun], settings: str) -> None:
        self._rounds: list[Measured] = []
        self._sinks = [_Sink(store, name, run, settings) for name, run in runs.items()]

    def logged(self, entry: Mapping[str, float]) -> None:
        """Tell an entry of a trainer's log, while the training goes on."""
        for row in _training(steps_of([entry]), *self._end()):
            for sink in self._sinks:
                sink.tell(row, alone=True)

    def measured(
        self,
        metrics: pl.DataFrame,
        digest: str,
        steps: pl.DataFrame | None,
        cost: float | None = None,
    ) -> None:
        """Take the figures of the next round, which `tell` tells.

        Args:
            metrics: Its table `metrics`.
            digest: That of this table.
            steps: The log of the training before, see `training.log`; None: there was none.
            cost: What servers charged for its labels; None: nobody says.
        """
        before, rounds = self._end()
        rows = [] if steps is None else [*_training(steps, before, rounds)]
        end = rows[-1].mark[0] if rows else before
        figures = _figures(metrics) | ({} if cost is None else {"round/cost": cost})
        self._rounds.append(Measured(digest, [*rows, Row((end, rounds + 1), figures)]))

    def tell(self) -> None:
        """Tell all rounds so far, as far as that was not done."""
        for sink in self._sinks:
            sink.tell_all(self._rounds)

    def finish(self) -> None:
        """End the trackers' runs; the same run can go on with them later."""
        for sink in self._sinks:
            sink.finish()

    def _end(self) -> Mark:
        return self._rounds[-1].mark if self._rounds else (0, 0)


def places(folder: Path) -> dict[str, str]:
    """Tracker → how a person gets to see a run there, of those that were reached.

    Args:
        folder: The run's.
    """
    told = {name: _read(folder / f".{name}.json") for name in TRACKERS}
    return {name: each.where for name, each in told.items() if each and each.where}


class _Sink:
    """One tracker. Once it fails, the run goes on without it."""

    def __init__(self, store: Store, name: str, run: TrackedRun, settings: str) -> None:
        self._store, self._name, self._run = store, name, run
        self._fresh = Told(settings=settings, project=run.project)
        before = _read(self._path)
        same = before and (before.settings, before.project) == (settings, run.project)
        self._told = before if before and same else self._fresh
        self._opened: Opened | None = None
        self._failed, self._noted = False, time.monotonic()

    @property
    def _path(self) -> Path:
        return self._run.folder / f".{self._name}.json"

    def tell(self, row: Row, *, alone: bool = False) -> None:
        """Tell a row, unless that was done; one that comes `alone` only if none lacks before it."""
        lacks = alone and row.mark[0] != max(0, self._told.mark[0]) + 1
        if self._failed or lacks or row.mark <= self._told.mark:
            return
        try:
            self._open().log(row.values, row.mark[0])
        except Exception as error:  # whatever a tool or its network raises
            self._fail(error)
            return
        self._told = self._told.model_copy(update={"mark": row.mark})
        if alone or time.monotonic() - self._noted > _NOTED_S:
            self._note()

    def tell_all(self, rounds: Sequence[Measured]) -> None:
        """Tell the rows of all rounds so far; if known ones have changed, to another run."""
        digests = tuple(each.digest for each in rounds)
        common = min(len(digests), len(self._told.rounds))
        if digests[:common] != self._told.rounds[:common]:
            self.finish()
            self._told = self._fresh
        for row in (row for each in rounds for row in each.rows):
            self.tell(row)
        if not self._failed and len(digests) > len(self._told.rounds):
            self._told = self._told.model_copy(update={"rounds": digests})
            self._note()

    def finish(self) -> None:
        """End the tracker's run, if it was opened."""
        if self._opened is None:
            return
        made, self._opened = self._opened, None
        self._note()
        try:
            made.finish()
        except Exception as error:
            log.warning("%s may lack the last figures: %s", self._name, _in_short(error))

    def _open(self) -> Opened:
        if self._opened is None:
            self._opened = opened(self._name, replace(self._run, id=self._told.id))
            known = {"id": self._opened.id, "where": self._opened.where}
            self._told = self._told.model_copy(update=known)
            self._note()
        return self._opened

    def _fail(self, error: Exception) -> None:
        self._failed = True
        log.warning(
            "%s fails: %s. The run goes on without it; the same command tells it what it lacks.",
            self._name,
            _in_short(error),
        )

    def _note(self) -> None:
        self._noted = time.monotonic()
        name = self._path.relative_to(self._store.root / "runs").as_posix()
        self._store.put_page(name, self._told.model_dump_json())


def _read(path: Path) -> Told | None:
    with suppress(OSError, ValidationError):
        return Told.model_validate_json(path.read_bytes())
    return None


def _in_short(error: Exception) -> str:
    words = without_login(str(error).strip() or type(error).__name__).partition("\n")[0]
    return visible(shorten(words, _LONGEST, placeholder=" …")).rstrip(".")


def _training(steps: pl.DataFrame, before: int, rounds: int) -> Iterator[Row]:
    """A row for each step of a training; `before` are the steps of those before it."""
    for step in steps.iter_rows(named=True):
        known = {name: step.get(name) for name in STEP_METRICS}
        values = {f"train/{name}": value for name, value in known.items() if value is not None}
        yield Row((before + step["step"], rounds), values)


def _figures(metrics: pl.DataFrame) -> dict[str, float]:
    """The figures of a round with the ends of their intervals, and its number."""
    values: dict[str, float] = {"round": int(metrics["round"].max() or 0)}  # type: ignore[arg-type]
    for row in metrics.iter_rows(named=True):
        name = f"round/{row['metric']}"
        ends = {f"{name}_{end}": row[end] for end in ("low", "high") if row[end] is not None}
        values |= {name: row["value"], **ends}
    return values
