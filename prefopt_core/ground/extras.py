"""Optional libraries: imported when used, or named in an error that says how to install them."""

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from types import ModuleType

from prefopt_core.ground.errors import Lacking, MissingExtraError


def import_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, which the pip extra `extra` of this project brings.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(_missing(module, extra)) from error


def no_extra(module: str, extra: str) -> Iterator[Lacking]:
    """The same as a doubt, before it is imported, if the module is not installed."""
    if find_spec(module) is None:
        yield Lacking(_missing(module, extra))


def _missing(module: str, extra: str) -> str:
    return f"{module} is not installed. Install it with `pip install 'prefopt-flows[{extra}]'`."
