"""Runs by their names: how each ended, and what it came to.

runs/<name>/run.json     the record: written when a run starts, has its results, and ends
runs/<name>/report.html  the page
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from prefopt_core.ground.errors import AwaitingLabelsError, PrefoptError, StoreError
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.store.artifacts import Artifact, Folder, Record
from prefopt_core.store.locks import is_held, locked
from prefopt_core.store.store import Store


class Left(Record):
    """What a run leaves to the run that continues it, with what that before it left.

    Attributes:
        held_out: Table `prompts` of evaluation; None without.
        prompts: Tables `prompts` of all rounds.
        labelled: Tables `preferences` of the rounds that bought labels.
        embeddings: Tables `embeddings` of these rounds.
    """

    held_out: Artifact | None = None
    prompts: tuple[Artifact, ...] = Field((), strict=False)
    labelled: tuple[Artifact, ...] = Field((), strict=False)
    embeddings: tuple[Artifact, ...] = Field((), strict=False)


log = logging.getLogger(__name__)


class Run(Record):
    """The record of a run.

    Attributes:
        name: Its name, and that of its folder.
        flow: Such as "align".
        settings: Digest of all settings.
        model: The start policy, as the config names it, or whose run's it is; "" if there is none.
        started: Seconds since 1970, as `ended`, which is None while it goes on.
        state: How it ended; "killed" is found out: it goes on, and no process does it.
        reason: Why it waits or failed.
        flow_run: Id in Prefect; "" for a run without.
        command: What was typed to run it; "" of runs from Python and of deployments.
        config: All settings, as YAML that `prefopt run` takes.
        metrics: Tables `metrics` of all rounds.
        preferences: Tables `preferences` of all rounds up to the one that was kept.
        policy: The policy it returned.
        kept: The round of that policy.
        win_rate: Of that policy, over the start policy.
        labels: Bought for it.
        cost: In the currency of the prices.
        warnings: What was doubtful about its config, labels and pairs.
        left: For the run that continues it; None: none can.
        account: The budget that pays for its labels; "" if it has none.
    """

    name: str
    flow: str
    settings: str
    model: str
    started: float
    ended: float | None = None
    state: Literal["running", "waiting", "stopped", "failed", "killed", "completed"] = "running"
    reason: str = ""
    flow_run: str = ""
    command: str = ""
    config: str = ""
    metrics: tuple[Artifact, ...] = Field((), strict=False)
    preferences: tuple[Artifact, ...] = Field((), strict=False)
    policy: Folder | None = None
    kept: int | None = None
    win_rate: float | None = None
    labels: int = 0
    cost: float = 0.0
    warnings: tuple[str, ...] = Field((), strict=False)
    left: Left | None = None
    account: str = ""


_RESULTS = (
    "metrics", "preferences", "policy", "kept", "win_rate", "labels", "cost", "warnings", "left",
)  # fmt: skip


@contextmanager
def recorded(
    store: Store, run: Run, undone_by: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Keep the record of a run within the block, which is the run.

    Results of an earlier run of the same settings stay in the record until `note` replaces them.
    If these are the results again, so is the time at which the run started that made them.

    Args:
        store: Where.
        run: What is known when it starts.
        undone_by: Raised by a block that turns out to be no run: the record stays as it was.
    """
    before = _read(_file(store, run.name))
    if before and before.settings != run.settings and before.state == "completed":
        log.warning(
            "The run %s had other settings: its page and results under this name are replaced. "
            "Another `name:` keeps both.",
            run.name,
        )
    if before and before.settings == run.settings:
        run = run.model_copy(update={name: getattr(before, name) for name in _RESULTS})
    with locked(_lock(store, run.name), f"run {run.name}", shared=True):
        _write(store, run)
        try:
            yield
        except undone_by:
            if before:
                _write(store, before)
            else:
                store.remove_page(f"{run.name}/run.json")
            raise
        except BaseException as error:
            note(store, run.name, ended=time.time(), **_ended_by(error))
            raise
        results = _exactly(store, run.name)
        again = before is not None and before.state == "completed" and _same(before, results)
        started = before.started if before and again else run.started
        note(store, run.name, state="completed", started=started, ended=time.time())


def _same(before: Run, run: Run) -> bool:
    """Whether two runs came to the same by the same settings."""
    return all(getattr(before, name) == getattr(run, name) for name in ("settings", *_RESULTS))


def _ended_by(error: BaseException) -> dict[str, str]:
    """State and reason of a run that raised."""
    if not isinstance(error, Exception):  # Ctrl-C, a signal, Prefect's Cancel: nothing failed
        return {"state": "stopped", "reason": "interrupted; the same command goes on from here"}
    kind = "" if isinstance(error, PrefoptError) else type(error).__name__
    reason = ": ".join(part for part in (kind, str(error)) if part)
    return {
        "state": "waiting" if isinstance(error, AwaitingLabelsError) else "failed",
        "reason": reason,
    }


def note(store: Store, name: str, **changes: Any) -> None:
    """Change fields of a run's record.

    Raises:
        StoreError: There is no such run, or the operating system refuses to write.
    """
    _write(store, _exactly(store, name).model_copy(update=changes))


def runs(store: Store) -> list[Run]:
    """Every run with a readable record, the newest first."""
    found = [run for path in store.pages("run.json") if (run := _read(path))]
    return sorted((_as_it_is(store, run) for run in found), key=lambda run: -run.started)


def find_run(store: Store, name: str) -> Run:
    """A run by its name or the start of it; of several with a dash behind that, the newest.

    Raises:
        StoreError: There is none, or several start so.
    """
    known = runs(store)
    for fits in (name.__eq__, lambda own: own.startswith(f"{name}-")):
        for run in known:
            if fits(run.name):
                return run
    started = [run for run in known if name and run.name.startswith(name)]
    if len(started) == 1:
        return started[0]
    if started:
        names = ", ".join(run.name for run in started[:3]) + ", …" * (len(started) > 3)
        raise StoreError(
            f"{len(started)} runs begin with {name!r}: {names}. Give more of the name."
        )
    hint = did_you_mean(name, [run.name for run in known])
    raise StoreError(
        f"The store {store} has no run {name!r}.{hint} `prefopt runs` lists those that it has."
    )


def last_run(store: Store) -> Run:
    """The run that ended last among those with results.

    Raises:
        StoreError: No run has ended in this store.
    """
    ended = [run for run in runs(store) if run.preferences]
    if not ended:
        raise StoreError(
            f"No run has ended in the store {store}. Run one, or name an artifact with "
            "`--artifact`; `prefopt cache ls` shows what there is."
        )
    return max(ended, key=lambda run: run.ended or run.started)


def _exactly(store: Store, name: str) -> Run:
    if run := _read(_file(store, name)):
        return run
    raise StoreError(f"The record {_file(store, name)} is gone or damaged. Run it again.")


def _as_it_is(store: Store, run: Run) -> Run:
    lock = _lock(store, run.name)
    elsewhere = store.mirror and not lock.exists()  # on another machine, as far as is known
    if run.state == "running" and not elsewhere and not is_held(lock):
        return run.model_copy(update={"state": "killed"})
    return run


def _file(store: Store, name: str) -> Path:
    return store.page(f"{name}/run.json")


def _lock(store: Store, name: str) -> Path:
    return store.root / "locks" / f"run-{name}"


def _read(path: Path) -> Run | None:
    try:
        return Run.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(store: Store, run: Run) -> None:
    store.put_page(f"{run.name}/run.json", run.model_dump_json(indent=1))
