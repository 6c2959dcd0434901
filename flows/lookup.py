"""Flows and stages by their names, without importing Prefect before it is known what for."""

import importlib
import pkgutil
from collections.abc import Collection, Iterable
from typing import Any

import tasks
from flows.terminal import called, say
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean, import_function
from prefopt_core.store.runs import Run, find_run, runs
from tasks.session import current_store
from tasks.stage import STAGES


def flow_of(name: str) -> Any:
    """The Prefect flow; its config's class is `experiments.flows.CONFIGS[name]`."""
    return import_function(f"flows.{name}:{name}")


def run_named(name: str) -> Run:
    """The run of that name; of several that begin with it the newest, and which that is is said.

    Raises:
        StoreError: There is none, or which is meant is not certain.
    """
    store = current_store()
    found = find_run(store, name)
    alike = [run.name for run in runs(store) if run.name.startswith(f"{name}-")]
    if found.name != name and len(alike) > 1:
        others = [each for each in alike if each != found.name]
        names = ", ".join(others[:3]) + ", … (`prefopt runs`)" * (len(others) > 3)
        say(f"{name} is {found.name} here, the newest of {len(alike)}; others by name: {names}")
    return found


def commands_of(names: Collection[str]) -> list[str]:
    """What to type for runs of these names, a line each; deployed ones go on by themselves."""
    known = [run for run in runs(current_store()) if run.name in names and run.command]
    return [f"  {typed(run)}" for run in known]


def typed(run: Run) -> str:
    """The command of a run, to be typed here; "" if nobody typed one."""
    return run.command.replace("prefopt", called(), 1)


def stages_named(names: Iterable[str], where: str = "") -> frozenset[str]:
    """Names of stages, all of which there are.

    Args:
        names: The names.
        where: The setting that has them, for the error.

    Raises:
        ConfigError: There is no such stage.
    """
    for module in pkgutil.iter_modules(tasks.__path__):
        importlib.import_module(f"tasks.{module.name}")
    for name in names:
        if name not in STAGES:
            raise ConfigError(f"{where}There is no stage {name!r}.{did_you_mean(name, STAGES)}")
    return frozenset(names)
