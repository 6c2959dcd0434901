"""Flows that are Prefect's only where Prefect is used: importing it takes a second."""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any


def prefect_flow(function: Callable[..., Any], name: str, **options: Any) -> Any:
    """A Prefect flow; until Prefect is imported, what becomes one when it is used as one.

    A worker, which asks for nothing but a flow, has imported Prefect before.

    Args:
        function: What the flow runs; alone it is called by `.fn`.
        name: Of the flow.
        options: Of `prefect.flow`.
    """
    later = _Later(function, name, options)
    return later.flow if "prefect" in sys.modules else later


class _Later:
    """A flow of which only `fn` and `name` are there before Prefect is imported."""

    def __init__(self, function: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
        self.fn, self.name, self._options = function, name, options

    @cached_property
    def flow(self) -> Any:
        from prefect import flow

        return flow(name=self.name, **self._options)(self.fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.flow(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # what Python looks for is no wish for Prefect
            raise AttributeError(name)
        return getattr(self.flow, name)
