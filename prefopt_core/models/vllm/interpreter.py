"""The Python interpreter that runs vLLM, often of an environment of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from prefopt_core.ground.errors import ConfigError, Lacking
from prefopt_core.ground.foreign import cut
from prefopt_core.models.vllm.link import environment

PYTHON_VARIABLE = "PREFOPT_VLLM_PYTHON"
"""The environment variable that names the Python interpreter with vLLM, unless a setting does."""

_VERSION = """
import importlib.metadata as metadata, importlib.util, json, sys
sys.path[:] = [path for path in sys.path if path]  # not the current folder
names = metadata.packages_distributions().get("vllm", [])
there = importlib.util.find_spec("vllm") is not None
print(json.dumps(metadata.version(names[0]) if names and there else None))
"""


def interpreter(named: str | None) -> str:
    """The path of the interpreter: that of the setting, of the variable, or our own.

    Raises:
        ConfigError: It is not there.
    """
    wanted = named or os.environ.get(PYTHON_VARIABLE) or sys.executable
    found = shutil.which(os.path.expanduser(wanted))
    if found is None:
        raise ConfigError(
            f"There is no interpreter {wanted!r} to run vLLM with. Set `generation.params.python` "
            f"(and `scoring.params.python`), or ${PYTHON_VARIABLE}, to the python of an "
            "environment that has vLLM."
        )
    return found


def no_engine(named: str | None) -> Iterator[Lacking]:
    """A sentence if the interpreter that is to run vLLM is not there, or has no vLLM."""
    try:
        python = interpreter(named)
    except ConfigError as error:
        yield Lacking(error)
        return
    version, trouble = version_in(python)
    if version is None:
        yield Lacking(
            f"{python} has no vLLM{trouble and f' ({trouble})'}. Install it there, or set "
            f"`params.python`, or ${PYTHON_VARIABLE}, to the python of an environment that has it."
        )


def version_in(python: str) -> tuple[str | None, str]:
    """(version of an interpreter's vLLM or None, why it is not known); nothing is imported."""
    command = [python, "-c", _VERSION]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env=environment()
        )
        return json.loads(done.stdout), ""
    except ValueError:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        return None, cut(said[-1], 200)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
