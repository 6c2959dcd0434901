"""Runs that continue each other: nightly-1, nightly-2, … of `continues: nightly`.

A number belongs to a run until it is completed: one that was killed, or waits for people, goes on
under its own when the same command is given again.

So does any other run with its budget, also where its config was edited in between.
"""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import yaml

from prefopt_core.experiments.base import Experiment, Paid
from prefopt_core.experiments.flows import AlignConfig
from prefopt_core.inputs.drawing import without
from prefopt_core.store.artifacts import Artifact
from prefopt_core.store.runs import Run, runs
from prefopt_core.store.store import Store

E = TypeVar("E", bound=Experiment)


def numbered(config: E, store: Store) -> E:
    """The config with the name of the run that it is now, if it continues others."""
    if not isinstance(config, AlignConfig) or config.continues is None or config.name:
        return config
    numbers = [config.number_of(run.name) for run in _completed(config, store)]
    return config.model_copy(update={"name": f"{config.continues}-{1 + max(numbers, default=0)}"})


def unfinished(config: Experiment, store: Store, command: str) -> Run | None:
    """The run of that name or command, unless it was completed or has an account of its own.

    Args:
        config: With its name.
        store: Where runs are recorded.
        command: What was typed to run it; "" if nobody typed a command.
    """
    if not isinstance(config, Paid) or config.annotation.account:
        return None
    for run in runs(store):  # the newest counts: of an earlier one the budget has come to its end
        typed = _by_its_name(run.command) == _by_its_name(command)
        if run.name == config.name or (typed and _same_prompts(run, config)):
            own = run.account.startswith("run ")
            return run if own and run.state != "completed" else None
    return None


def _by_its_name(command: str) -> list[str]:
    """The words of a command, its config without a folder: it may be typed in another one."""
    words = shlex.split(command)
    return [*words[:2], *(Path(file).name for file in words[2:3]), *words[3:]]


def _same_prompts(run: Run, config: Experiment) -> bool:
    """Whether a run is of the same prompts: in another folder the same command is another run."""
    if not (run.command and run.config):
        return False
    prompts = yaml.safe_load(run.config).get("prompts")
    return bool(prompts == config.model_dump(mode="json")["prompts"])


def paid(config: E, store: Store, command: str) -> E:
    """The config with the budget of the unfinished run that it goes on with, if there is one."""
    before = unfinished(config, store, command)
    if before is None or not isinstance(config, Paid):
        return config
    return config.paid_from(before.account)


def continued(config: Experiment, store: Store) -> Run | None:
    """The run that this one, which has its name, continues: the newest completed; None: none."""
    if not isinstance(config, AlignConfig) or config.continues is None:
        return None
    number_of = config.number_of
    earlier = [
        run for run in _completed(config, store) if number_of(run.name) < number_of(config.name)
    ]
    return max(earlier, key=lambda run: number_of(run.name), default=None)


def unused(prompts: Artifact, used: Sequence[Artifact], store: Store) -> int:
    """How many of some prompts are in none of the tables `used`."""
    return without(store.read(prompts), [store.read(table) for table in used]).height


def _completed(config: AlignConfig, store: Store) -> list[Run]:
    return [
        run
        for run in runs(store)
        if run.state == "completed" and run.left and config.number_of(run.name)
    ]
