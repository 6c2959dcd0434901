"""Optional libraries: imported when used, or named in an error that says how to install them."""

import importlib
from types import ModuleType

from prefopt_core.ground.errors import MissingExtraError


def import_extra(module: str, extra: str) -> ModuleType:
    """Import `module`, which the pip extra `extra` of this project brings.

    Raises:
        MissingExtraError: The module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{module} is not installed. Install it with `pip install 'prefopt-flows[{extra}]'`."
        ) from error
