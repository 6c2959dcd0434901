"""Checks of the installation and the machine for `prefopt doctor`; read-only, without secrets."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prefopt_core.ground.registry import import_function


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        what: Name of the check.
        state: problem: the quickstart cannot run; warning: something else cannot.
        found: What was found.
        mend: Command or advice that mends it; "" if nothing has to be mended.
    """

    what: str
    state: Literal["ok", "warning", "problem"]
    found: str
    mend: str = ""


CHECKS = {
    "Python": "flows.doctor.software:python",
    "packages": "flows.doctor.software:packages",
    "extras": "flows.doctor.software:extras",
    "names": "flows.doctor.software:names",
    "vLLM": "flows.doctor.software:vllm",
    "Ray token": "flows.doctor.software:ray_token",
    "torch": "flows.doctor.machine:torch_and_gpus",
    "CPU": "flows.doctor.machine:cpus",
    "store": "flows.doctor.machine:store",
    "labels": "flows.doctor.machine:labels",
    "disk": "flows.doctor.machine:disk",
    "model hub": "flows.doctor.machine:hub",
}
"""Name → function that yields checks; imported when used, as its libraries may be broken."""


def examine() -> Iterator[Check]:
    """Run all checks that do not need Prefect."""
    for what, path in CHECKS.items():
        yield from guarded(what, lambda path=path: import_function(path)())  # type: ignore[misc]


def guarded(what: str, check: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of one function; an exception in it becomes a check that is not ok."""
    try:
        yield from check()
    except ImportError as error:  # installed, by its metadata, and broken
        mend = f"pip install --force-reinstall {error.name or what}"
        yield Check(what, "problem", f"cannot be looked at: {error}", mend)
    except Exception as error:  # of any kind: a broken installation can raise anything
        yield Check(what, "warning", f"cannot be looked at: {type(error).__name__}: {error}")
