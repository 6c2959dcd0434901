"""Who may import whom; and the three packages, whose names are common words, are ours."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prefopt_core.experiments.families import FAMILIES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["flows", "tasks", "prefopt_core"])
def test_the_package_is_the_one_of_this_checkout(name):
    package = importlib.import_module(name)
    assert Path(package.__file__) == ROOT / name / "__init__.py"


# Modules that only training and these worlds import, and that do nothing without torch.
NEEDS_TORCH = (
    "prefopt_core.training.",
    "prefopt_core.generation.decoding",
    "prefopt_core.generation.sampling",
    "prefopt_core.worlds.helpdesk.pretraining",
)


WALK = f"""
import importlib, pkgutil, sys
import prefopt_core
names = [m.name for m in pkgutil.walk_packages(prefopt_core.__path__, "prefopt_core.")]
assert len(names) > 150, names
light = [name for name in names if not name.startswith({NEEDS_TORCH!r})]
"""


def test_the_core_but_for_training_is_imported_without_torch():
    code = """
for name in light:
    importlib.import_module(name)
    heavy = {"torch", "transformers", "trl", "vllm"} & set(sys.modules)
    assert not heavy, (name, heavy)
"""
    subprocess.run([sys.executable, "-c", WALK + code], cwd=ROOT, check=True)


def test_the_command_and_its_flows_are_imported_without_what_only_computing_needs():
    code = """
import importlib, pkgutil, sys
import flows.verbs, flows.aepo, flows.align, flows.spa, flows.spin
for verb in pkgutil.iter_modules(flows.verbs.__path__):
    importlib.import_module(f"flows.verbs.{verb.name}")
heavy = {"prefect", "torch", "transformers", "scipy", "sklearn", "faiss", "matplotlib"}
heavy &= set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.slow
def test_the_core_is_imported_without_an_orchestrator():
    code = """
for name in names:
    importlib.import_module(name)
above = {"prefect", "tasks", "flows"} & set(sys.modules)
assert not above, above
"""
    subprocess.run([sys.executable, "-c", WALK + code], cwd=ROOT, check=True)


def test_what_the_core_names_in_strings_lies_in_the_same_room_or_in_a_world():
    # An import path in a string is an import that import-linter cannot see.
    named = [
        (path.relative_to(ROOT).parts[1], target)
        for path in (ROOT / "prefopt_core").rglob("*.py")
        for target in re.findall(r'"(?:prefopt_core|tasks|flows)\.([\w.]+):\w+"', path.read_text())
    ]
    assert len(named) >= sum(len(family) for family in FAMILIES.values())
    rooms = [(room, target.partition(".")[0]) for room, target in named]
    assert [(room, other) for room, other in rooms if other not in (room, "worlds")] == []


def test_no_stage_function_takes_more_than_five_positional_parameters():
    for path in (ROOT / "tasks").glob("*.py"):
        importlib.import_module(f"tasks.{path.stem}")
    from tasks.stage import STAGES

    for name, stage in STAGES.items():
        parameters = inspect.signature(stage.function).parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(positional) <= 5, (name, positional)


def test_import_contracts_hold():
    linter = Path(sys.executable).with_name("lint-imports")
    if not linter.is_file():
        pytest.skip("import-linter is not installed")
    checked = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_no_test_folder_hides_a_package():
    # A package tests/tasks would be imported in place of ours.
    assert not list((ROOT / "tests").rglob("__init__.py"))
    assert {"flows", "tasks"}.isdisjoint(path.name for path in (ROOT / "tests").rglob("*"))
