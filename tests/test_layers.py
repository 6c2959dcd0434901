"""Who may import whom; and the three packages, whose names are common words, are ours."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", ["flows", "tasks", "prefopt_core"])
def test_the_package_is_the_one_of_this_checkout(name):
    package = importlib.import_module(name)
    assert Path(package.__file__) == ROOT / name / "__init__.py"


def test_the_core_is_imported_without_an_orchestrator():
    # `training` and `helpdesk` need torch, which takes long; the contracts below cover them.
    code = """
import importlib, pkgutil, sys
import prefopt_core
for module in pkgutil.iter_modules(prefopt_core.__path__, "prefopt_core."):
    importlib.import_module(module.name)
heavy = {"prefect", "torch", "transformers", "tasks", "flows"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


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
