"""Installed versions of libraries, for the records of results."""

from contextlib import suppress
from functools import cache
from importlib import metadata

_LIBRARIES = ("numpy", "polars", "pyarrow", "torch", "transformers", "trl", "peft")


@cache
def versions() -> dict[str, str]:
    """Installed versions of the libraries whose results can differ between versions."""
    found = {}
    for name in _LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
