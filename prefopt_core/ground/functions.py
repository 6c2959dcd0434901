"""User functions, named in a config as 'module:function' or 'file.py:function', and loaded."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean


def load_function(path: str) -> Callable[..., Any]:
    """Import the function that `path` names.

    Raises:
        ConfigError: `path` is malformed, its module or file cannot be loaded, or it has no such
            function.
    """
    source, _, name = path.rpartition(":")
    if not source or not name:
        raise ConfigError(f"{path!r} names no function. Write 'module:function' or 'file.py:name'.")
    try:
        module = _module(source)
    except (ImportError, SyntaxError) as error:
        problem = f"{type(error).__name__}: {error}"
        if isinstance(error, ModuleNotFoundError) and error.name == source.partition(".")[0]:
            problem += f". For a file of yours write 'file.py:{name}'"
        raise ConfigError(f"Cannot load the function {path!r}: {problem}.") from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise ConfigError(f"{source} has no function {name!r}.{did_you_mean(name, known)}")
    return cast(Callable[..., Any], function)


def _module(source: str) -> ModuleType:
    if not source.endswith(".py"):
        if not all(part.isidentifier() for part in source.split(".")):
            raise ConfigError(
                f"{source!r} is neither a module nor a file that ends in .py. "
                "Write 'module:function' or 'file.py:name'."
            )
        return importlib.import_module(source)
    if not Path(source).is_file():
        raise ConfigError(f"There is no file {source} to load a function from.")
    spec = importlib.util.spec_from_file_location(f"_of_the_user_{Path(source).stem}", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    folder = str(Path(source).resolve().parent)
    sys.path.insert(0, folder)  # so that it can import its neighbours
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module
