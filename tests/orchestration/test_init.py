"""A folder to start from; and folders whose names are ours."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.doctor.software import names
from prefopt_core.experiments.sources import load_run

TRAP = "raise SystemExit('the folder of the user was imported')\n"


@pytest.fixture
def trap(tmp_path):
    """A project of somebody else's, with packages that are called as ours."""
    folder = tmp_path / "trap"
    (folder / "flows").mkdir(parents=True)
    (folder / "prefopt_core").mkdir()
    for name in ("flows/__init__.py", "prefopt_core/__init__.py", "tasks.py", "datasets.py"):
        (folder / name).write_text(TRAP)
    return folder


def test_what_init_writes_is_a_valid_run_with_prompts_to_spare(prefopt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, output, _ = prefopt("init", "mine")
    assert code == 0
    assert "prefopt run mine/run.yaml" in output
    flow, config = load_run("mine/run.yaml", {})
    assert flow == "align"
    assert config.wanted_prompts <= len(Path("mine/prompts.jsonl").read_text().splitlines())
    assert config.prompts.params["path"] == "mine/prompts.jsonl"
    code, output, _ = prefopt("plan", "mine/run.yaml")
    assert code == 0
    assert "160 labels" in output


def test_init_overwrites_nothing(prefopt, tmp_path):
    (tmp_path / "judge.py").write_text("mine")
    code, _, error = prefopt("init", tmp_path)
    assert code == 2
    assert "judge.py already" in error
    assert (tmp_path / "judge.py").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["judge.py"]


def test_the_starters_judge_prefers_a_polite_answer_of_some_length(prefopt, tmp_path):
    prefopt("init", tmp_path)
    scope = {}
    exec((tmp_path / "judge.py").read_text(), scope)
    polite = "Hello Ann, I am sorry that the lamp is broken. We send you another one this week."
    assert scope["score"]("", polite) > scope["score"]("", "No.")
    assert scope["score"]("", " ") is None


def test_the_version_is_that_of_the_package(prefopt):
    code, output, _ = prefopt("--version")
    assert (code, output) == (0, "prefopt 0.1.0\n")


@pytest.mark.slow
def test_packages_of_ours_are_not_looked_for_in_the_working_folder(trap, tmp_path):
    command = Path(sys.executable).with_name("prefopt")
    if not command.exists():
        pytest.skip("prefopt is not installed beside this Python, so there is no command")
    ours = Path(__file__).parents[2]
    environment = {"PREFOPT_STORE": str(tmp_path / "store"), "PYTHONPATH": str(ours)}
    done = subprocess.run(
        [command, "plan", "quickstart"], cwd=trap, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "stages would run" in done.stdout


def test_doctor_tells_of_names_of_ours_in_the_working_folder(trap, monkeypatch):
    monkeypatch.chdir(trap)
    (check,) = names()
    assert check.state == "warning"
    assert check.found.startswith("prefopt_core, flows, tasks.py")
    monkeypatch.chdir(trap.parent)
    (check,) = names()
    assert check.state == "ok"
