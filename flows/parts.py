"""Parts of a run, such as a round: in Prefect a flow run within the run's, with stages of its own.

A block, not a function, so that a flow reads as its algorithm does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tasks.session import Part, in_part
from tasks.stage import inside_flow_run


@contextmanager
def part(name: str, *given: Any) -> Iterator[None]:
    """Within the block, stages belong to one part of the run.

    Args:
        name: Such as "round 2"; its first word is the name of Prefect's flow.
        given: What the part starts from, for the arrows in Prefect's graph.
    """
    here = Part(name)
    with in_part(here):
        if not inside_flow_run():
            yield
            return
        from flows.flow_runs import flow_run_of  # imports Prefect

        with flow_run_of(here, given):
            yield
