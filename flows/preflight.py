"""What is looked at before the first stage of a run, whoever starts it: a command or a worker."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.checks import check
from prefopt_core.ground.errors import ConfigError, Lacking
from prefopt_core.ground.settings import Backend
from prefopt_core.labels.store import LabelStore
from prefopt_core.models.server.kept import ResponseStore
from prefopt_core.store.store import STORE
from tasks.session import (
    Planned,
    current_store,
    doubts_before,
    leaves_pages,
    listing,
    looked_at,
    notice,
)


@contextmanager
def preflight(function: Callable[[Any], Any], config: Experiment) -> Iterator[None]:
    """Look at a config before the block runs it; what `prefopt run` has looked at is not again.

    Nothing is looked at while planning, nor in the runs of a comparison, which looks itself.

    Raises:
        ConfigError: Something is certainly wrong, or lacks and is used by a stage that would run.
    """
    if not leaves_pages():
        yield
        return
    _refuse_a_passing_store()
    doubts = doubts_before()
    if doubts is None:
        doubts = tuple(check(config, LabelStore.of(current_store())))
        for doubt in certain(doubts):
            notice(doubt)
    refuse_what_lacks(doubts, lambda: function(config))
    with looked_at(certain(doubts)):
        yield


def _refuse_a_passing_store() -> None:
    """Raise where labels and policies would go with the folder that a worker made for the run."""
    here = Path.cwd()
    made = here.parent == Path(tempfile.gettempdir()).resolve() and here.name.endswith("prefect")
    if made and not os.environ.get(STORE):
        raise ConfigError(
            f"The store would be {current_store().root}, and the worker deletes {here} after the "
            "run, with its labels and policies. Deploy with `prefopt deploy`, or set PREFOPT_STORE "
            "where the worker is started."
        )


def certain(doubts: Sequence[str]) -> list[str]:
    """The doubts that hold whatever the store has."""
    return [doubt for doubt in doubts if not isinstance(doubt, Lacking)]


def refuse_what_lacks(doubts: Sequence[str], call: Callable[[], Any]) -> None:
    """Raise what lacks, if a stage that `call` would run has to do with it.

    Raises:
        ConfigError: Such a stage has to ask what does not answer, or needs what is not installed.
    """
    if lacking := [doubt for doubt in doubts if isinstance(doubt, Lacking)]:
        with listing() as stages:
            call()
        _refuse_if_used(lacking, stages)


def _refuse_if_used(lacking: Sequence[Lacking], stages: Sequence[Planned]) -> None:
    """Raise what lacks where a stage that would run has to do with it.

    Of a model that wrote before, all that is asked may be kept: then a notice is enough.
    """
    wrote = {bought.model for bought in ResponseStore(current_store().ledgers).bought()}
    used = [doubt for doubt in lacking if any(_uses(stage, doubt.section) for stage in stages)]
    for doubt in (maybe := [d for d in used if d.section.params.get("model_name") in wrote]):
        notice(doubt)
    if certainly := [doubt for doubt in used if doubt not in maybe]:
        raise ConfigError("\n".join(dict.fromkeys(certainly)))


def _uses(stage: Planned, section: Backend) -> bool:
    """Whether a stage that would run is called with a section, or with its choice and settings."""
    if stage.state == "hit" or (stage.stage == "annotate" and not stage.labels):
        return False
    configs = [value for value in stage.arguments.values() if isinstance(value, Backend)]
    return any(_chosen(config) == _chosen(section) for config in configs)


def _chosen(config: Backend) -> tuple[Any, ...]:
    return config.registry, getattr(config, config.choice), config.params
