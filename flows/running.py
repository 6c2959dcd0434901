"""What stands around every run: preflight, its record, how it ends while labels are missing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

from flows.desk.addresses import told
from flows.lazy import prefect_flow
from flows.lookup import stages_named
from flows.preflight import preflight
from flows.recording import name_here, named, recording
from prefopt_core.annotation.identity import identity
from prefopt_core.ground.errors import AwaitingLabelsError, PrefoptError
from prefopt_core.labels.batch import name_account
from prefopt_core.labels.store import LabelStore
from tasks.session import current_store, executing
from tasks.stage import ended_by, inside_flow_run
from tasks.tracking import tracking


def run(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Turn a function of one config into a flow that waits for people if it has to."""

    def decorate(function: Callable[..., Any]) -> Any:
        @wraps(function)
        def waiting(config: Any) -> Any:
            config = named(name, config)
            if config.execution.stages:  # to know all stages takes a while
                stages_named(config.execution.stages, "execution.stages: ")
            try:
                with (
                    awaiting(config),
                    preflight(function, config),
                    recording(name, config),
                    tracking(name, config),
                    executing(config.execution),
                ):
                    return function(config)
            except AwaitingLabelsError as awaited:
                if not inside_flow_run():
                    raise
                from flows.waiting import end  # imports Prefect

                return end(awaited, identity(config.annotation))
            except PrefoptError as error:
                if not inside_flow_run():
                    raise
                return ended_by(error)

        return prefect_flow(waiting, name, flow_run_name=partial(name_here, name))

    return decorate


@contextmanager
def awaiting(config: Any) -> Iterator[None]:
    """Within the block, what people are to label is said with where they do so.

    Raises:
        AwaitingLabelsError: That of the block, in these words.
    """
    try:
        yield
    except AwaitingLabelsError as error:
        people, store = identity(config.annotation), current_store()
        name_account(LabelStore.of(store), config.allowance.account, config.name)
        words = told(error, people, store)
        raise AwaitingLabelsError(words, error.left, error.done, error.accounts) from None
