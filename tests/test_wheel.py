"""The wheel holds three packages and what comes with prefopt; the image has what it is built of."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_the_three_packages_and_what_runs_come_with_them(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds the wheel")
    context = tmp_path / "context"  # what the Dockerfile's `COPY .` is given
    context.mkdir()
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            copy = shutil.copytree if (ROOT / line[1:]).is_dir() else shutil.copy
            copy(ROOT / line[1:], context / line[1:])
    build = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, context]
    subprocess.run([sys.executable, "-m", *build], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = (archive.read(n) for n in names if n.endswith("entry_points.txt"))
    code = {name for name in names if ".dist-info/" not in name}
    in_checkout = {
        path.relative_to(ROOT).as_posix()
        for package in ("flows", "tasks", "prefopt_core")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    shipped = "prefopt_core/experiments/shipped"
    presets = {path.relative_to(ROOT).as_posix() for path in (ROOT / "presets").rglob("*.yaml")}
    assert code == in_checkout | {f"{shipped}/{name}" for name in {"prefect.yaml", *presets}}
    assert "flows/verbs/run.py" in code
    assert b"prefopt = flows.cli:main" in entry_points
