"""Score with a Python function of the user's."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from prefopt_core.annotation import Request
from prefopt_core.errors import ConfigError
from prefopt_core.registry import did_you_mean, import_function


def annotate(requests: Sequence[Request], *, function: str) -> Iterator[float | None]:
    """Call `module:function` or `file.py:function` with (prompt, response); returns a score."""
    score = load_function(function)
    for request in requests:
        prompt: Any = request.prompt
        if len(request.prompt) == 1:  # the usual case: a plain text
            prompt = request.prompt[0]["content"]
        yield score(prompt, request.response)


def load_function(path: str) -> Callable[[Any, str], float]:
    """Resolve the function's name, or say what is wrong with it."""
    source, _, name = path.partition(":")
    if not name:
        raise ConfigError(f"{path!r} names no function. Write 'module:function' or 'file.py:name'.")
    try:
        if not source.endswith(".py"):
            return import_function(path)
        spec = importlib.util.spec_from_file_location(Path(source).stem, source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)
    except FileNotFoundError:
        problem = f"there is no file {source}"
    except ModuleNotFoundError as error:
        problem = (
            f"module {error.name} cannot be imported; for a file of yours write 'file.py:{name}'"
        )
    except AttributeError:
        known = vars(module) if source.endswith(".py") else vars(importlib.import_module(source))
        problem = (
            f"{source} has no {name!r}.{did_you_mean(name, [n for n in known if n[0] != '_'])}"
        )
    raise ConfigError(f"Cannot load the annotator function {path!r}: {problem}")
