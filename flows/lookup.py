"""Looking flows up by their names in a config: the flow `spa` is `flows.spa:spa`."""

from typing import Any

from prefopt_core.ground.registry import import_function


def flow_of(name: str) -> Any:
    """The Prefect flow; its config's class is `experiments.flows.CONFIGS[name]`."""
    return import_function(f"flows.{name}:{name}")
