"""What of a stage's arguments enters its cache key, as JSON values."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from prefopt_core.store.artifacts import Artifact, Folder


@runtime_checkable
class Keyed(Protocol):
    """A config that defines its part of a cache key."""

    def key_part(self) -> Any:
        """The part of the cache key, as JSON values."""


def key_values(value: Any) -> Any:
    """A value as it enters a cache key: JSON; artifacts and folders by their digests."""
    if isinstance(value, Artifact):
        return {"table": value.table, "digest": value.digest}
    if isinstance(value, Folder):
        return {"model": value.digest}
    if isinstance(value, Keyed):
        return value.key_part()
    if isinstance(value, Mapping):
        return {str(name): key_values(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [key_values(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(
        f"A {type(value).__name__} cannot be part of a stage's key. Pass plain values, a config "
        "or an artifact."
    )
