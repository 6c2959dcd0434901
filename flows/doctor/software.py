"""Checks of installed versions: Python, required packages, extras, vLLM."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.specifiers import SpecifierSet

from flows.doctor import Check
from prefopt_core.ground.supported import (
    DISTRIBUTION,
    install,
    lacking,
    newer_than_tried,
    requirements,
)
from prefopt_core.ground.user_code import OURS
from prefopt_core.models.vllm.interpreter import PYTHON_VARIABLE, version_in

_PURPOSE = {
    "minilm": "the default of `embedding`, without a model hub",
    "ray": "`execution.runner: ray`",
    "postgres": "labels in a database that machines share",
    "openai": "the generator `openai`, the annotator `llm-judge`",
}
"""Extra → the setting that needs it."""

_QUICKSTART = {"minilm"}


def python() -> Iterator[Check]:
    """The version of the Python interpreter."""
    wanted = SpecifierSet(metadata.metadata(DISTRIBUTION)["Requires-Python"] or "")
    version = platform.python_version()
    found = f"{version}, {sys.executable}"
    if wanted.contains(version, prereleases=True):
        yield Check("Python", "ok", found)
    else:
        yield Check(
            "Python",
            "problem",
            f"{found}; {wanted} is needed",
            "make clean && make PYTHON=python3.11",
        )


def packages() -> Iterator[Check]:
    """The versions of required packages."""
    try:
        needed = requirements()
    except metadata.PackageNotFoundError:
        yield Check(
            "packages",
            "problem",
            f"{DISTRIBUTION} is not installed in {sys.prefix}",
            "pip install -c constraints.txt -e .",
        )
        return
    wrong = [(each, problem) for each in needed if (problem := lacking(each))]
    for requirement, problem in wrong:
        yield Check(requirement.name, "problem", problem, install(requirement))
    if wrong:
        return
    yield Check("packages", "ok", f"{len(needed)} of {len(needed)} in the supported range")
    for requirement, doubt in newer_than_tried():
        yield Check(requirement.name, "warning", doubt, install(requirement))


def extras() -> Iterator[Check]:
    """The versions of optional packages, by extra."""
    for extra, purpose in _PURPOSE.items():
        problems = [problem for each in requirements(extra) if (problem := lacking(each))]
        name, found = f"extra {extra}", f"{'; '.join(problems) or 'installed'} ({purpose})"
        if not problems:
            yield Check(name, "ok", found)
        else:
            mend = f"pip install '{DISTRIBUTION}[{extra}]'"
            yield Check(name, "problem" if extra in _QUICKSTART else "warning", found, mend)


def vllm() -> Iterator[Check]:
    """The version of vLLM, in this interpreter or in that of $PREFOPT_VLLM_PYTHON."""
    named = os.environ.get(PYTHON_VARIABLE)
    interpreter = shutil.which(os.path.expanduser(named or sys.executable))
    if interpreter is None:
        yield Check(
            "vLLM",
            "warning",
            f"{PYTHON_VARIABLE} names {named}, which is no interpreter",
            f"export {PYTHON_VARIABLE}=/path/to/environment/bin/python",
        )
        return
    (wanted,) = requirements("vllm")
    version, trouble = version_in(interpreter)
    mend = (
        f"python3 -m venv ~/vllm && ~/vllm/bin/{install(wanted)} && "
        f"export {PYTHON_VARIABLE}=~/vllm/bin/python"
    )
    if trouble:
        yield Check("vLLM", "warning", f"{interpreter} cannot say: {trouble}", mend)
    elif version is None and named:
        yield Check("vLLM", "warning", f"{interpreter}, named by {PYTHON_VARIABLE}, has none", mend)
    elif version is None:
        found = f"not in {interpreter}; needed by `vllm` as generator or scorer only"
        yield Check("vLLM", "ok", found, mend)
    elif not wanted.specifier.contains(version, prereleases=True):
        found = f"{version} of {interpreter}; {wanted.specifier} is supported"
        yield Check("vLLM", "warning", found, mend)
    else:
        yield Check("vLLM", "ok", f"{version} of {interpreter}")


def ray_token() -> Iterator[Check]:
    """Whether Ray's token in the home is one that a run would not show to a cluster it joins."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and "RAY_AUTH_MODE" not in os.environ:
        yield Check(
            "Ray token",
            "warning",
            f"{token} is there, so `ray start` makes clusters that ask for it; a run that joins "
            "one (`execution.address`) does not show it",
            "export RAY_AUTH_MODE=token",
        )


def names() -> Iterator[Check]:
    """Whether something in the working folder has the name of a package of ours."""
    here = Path.cwd()
    taken = [
        place.name
        for name in OURS
        for place in (here / name, here / f"{name}.py")
        if place.exists() and not (here / "flows" / "doctor" / "software.py").exists()
    ]
    if not taken:
        yield Check("names", "ok", f"nothing in {here} is called as a package of prefopt")
        return
    yield Check(
        "names",
        "warning",
        f"{', '.join(taken)} of {here} would be imported in place of prefopt's by a Python started "
        "here; the command `prefopt` and its workers do not look here",
        "start your own scripts that import prefopt from another folder, or with `python -P`",
    )
