"""What a running stage knows of where it runs: its store, its folder, its part of the run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from prefopt_core.ground.files import explained
from prefopt_core.store.store import Store

_store: ContextVar[Store] = ContextVar("store")


_workspace: ContextVar[Path] = ContextVar("workspace")


_cut: ContextVar[list[bool]] = ContextVar("cut")


_role: ContextVar[str] = ContextVar("role", default="")


def workspace() -> Path:
    """The running stage's folder for checkpoints and unfinished work; survives a crash."""
    work = _workspace.get()
    with explained(work.parent):
        work.mkdir(parents=True, exist_ok=True)
    return work


def stage_store() -> Store:
    """The store that the running stage's result goes to; outside of one, `$PREFOPT_STORE`."""
    return _store.get(None) or Store.open()


def cut_short() -> None:
    """Say that a limit made the running stage's result less than what was asked for.

    It is found again under the same `Stage.limits` only; under others the stage goes on.
    """
    if (cut := _cut.get(None)) is not None:
        cut.append(True)


def fresh_folder(name: str) -> Path:
    """Create an empty folder in the workspace; what a killed run left in it is deleted."""
    folder = workspace() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def role() -> str:
    """The part of the run that stages belong to; "" for the run itself."""
    return _role.get()


@contextmanager
def in_role(role: str) -> Iterator[None]:
    """Within the block, stages are a part of the run, such as "round 2"; no key depends on it."""
    token = _role.set(role)
    try:
        yield
    finally:
        _role.reset(token)


@contextmanager
def running_in(store: Store, work: Path) -> Iterator[list[bool]]:
    """Within the block, `stage_store()` is `store`, `workspace()` is `work`; yields `cut_short`."""
    cut: list[bool] = []
    tokens = _store.set(store), _workspace.set(work), _cut.set(cut)
    try:
        yield cut
    finally:
        _store.reset(tokens[0])
        _workspace.reset(tokens[1])
        _cut.reset(tokens[2])
        with suppress(OSError):
            work.rmdir()  # only if it is empty
