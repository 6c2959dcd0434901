"""Arrows of Prefect's graph: where the inputs of stages come from.

Prefect would walk through every shard of the tables among a task's parameters: 0.7 s each at 15,000
shards. It gets an object for each table instead, of which it knows no more than its origin.
"""

from collections.abc import Iterable
from typing import Any

from prefopt_core.store.coming import Coming


class _Origin:
    """Stands for a table or folder."""


def came_from(values: Iterable[Any]) -> list[Any]:
    """What leads Prefect to the runs that made tables and folders."""
    known = [value if isinstance(value, Coming) else _origin(value) for value in values]
    return [each for each in known if each is not None]


def comes_from_here(coming: Coming) -> None:
    """Have arrows lead from the task that runs, while it does."""
    from prefect.client.schemas import State
    from prefect.context import TaskRunContext
    from prefect.states import Completed
    from prefect.utilities.engine import link_state_to_task_run_result

    context = TaskRunContext.get()
    assert context is not None
    done: State[None] = Completed(state_details={"task_run_id": context.task_run.id})
    link_state_to_task_run_result(done, coming)


def _origin(value: Any) -> _Origin | None:
    from prefect.utilities.engine import get_state_for_result, link_state_to_result

    found = get_state_for_result(value)
    if found is None:
        return None
    origin = _Origin()
    link_state_to_result(found[0], origin, found[1])
    return origin
