"""What a worker does with a job, whoever started it."""

import logging
import os
import pickle
import platform
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefopt_core.ground.errors import PrefoptError
from prefopt_core.ground.progress import ProgressCallback, listening
from prefopt_core.ground.registry import import_function
from prefopt_core.ground.spending import adding_up
from prefopt_core.store.jobs import Done, Job
from prefopt_core.store.running import in_role
from prefopt_core.store.stage import Stage
from prefopt_core.store.store import Store


@dataclass(frozen=True)
class Told:
    """A line of a worker's log."""

    logger: str
    level: int
    text: str


Tell = Callable[[Told], None]


def attempt(job: Job, tell: Tell, heard: ProgressCallback) -> Done | Exception:
    """Do a job; what it raises is returned, as something that can be sent.

    Args:
        job: What to do.
        tell: Is told each warning of ours, while it runs.
        heard: Progress callback.
    """
    try:
        with _telling(tell), listening(heard), in_role(job.role), adding_up() as spent:
            store, stage = Store.at(job.store), _stage_of(job)
            output, reason = stage.compute(store, job.arguments, job.reason)
            return Done(output, reason, spent)
    except Exception as error:
        return sendable(error)


def _stage_of(job: Job) -> Stage:
    """The stage of a job, as this process has it.

    Raises:
        PrefoptError: It is another one than the run's.
    """
    found = import_function(job.function)
    stage: Stage = getattr(found, "spec", found)
    if stage.key(stage.inputs(job.arguments)) != job.key:
        raise PrefoptError(
            f"{job}: the worker on {platform.node()} comes to another cache key than the run. "
            "Install the same prefopt there, and put the files that the config names at the same "
            "paths."
        )
    return stage


@contextmanager
def _telling(tell: Tell) -> Iterator[None]:
    """Within the block, warnings of ours go to `tell` alone."""
    ours, handler = logging.getLogger("prefopt_core"), _Handler(tell)
    ours.addHandler(handler)
    propagated, ours.propagate = ours.propagate, False
    try:
        yield
    finally:
        ours.removeHandler(handler)
        ours.propagate = propagated


class _Handler(logging.Handler):
    def __init__(self, tell: Tell) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(Told(record.name, record.levelno, record.getMessage()))


def sendable(error: Exception) -> Exception:
    """An error that another process can read, with its traceback unless it is told in a line."""
    where = "".join(traceback.format_exception(error))
    if not isinstance(error, PrefoptError):
        error.add_note(f"In worker {os.getpid()} on {platform.node()}:\n{where}")
    error.__cause__ = error.__context__ = None
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # an exception whose constructor wants more than its text
        return RuntimeError(f"{type(error).__name__}: {error}\n{where}")
    return error
