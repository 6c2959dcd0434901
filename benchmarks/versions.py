"""The versions that prefopt works with, tried: `make matrix`.

Each row is an environment on top of the one that runs this, which has what `constraints.txt` names:
what a row has in another version lies in `.venv-matrix/ROW`, and is found first.

* lowest: every package of pyproject.toml's `dependencies` in the lowest version of its range.
* newest: every one in the newest of its range.

torch stays as it is, as it depends on the machine which of its builds can be had. The tests are
those that show most of what packages can change: losses, gradients and checkpoints of a training,
sampling, families of models, whole runs, Prefect's server, runs that wait and runs that died.
"""

import argparse
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.printing import progress, say, table

REPOSITORY = Path(__file__).parents[1]
HOME = REPOSITORY / ".venv-matrix"
ROWS = ("lowest", "newest")
SHOWN = ("torch", "transformers", "trl", "prefect")
TESTS = (
    "core/training",
    "core/generation/test_sampling.py",
    "core/generation/test_transformers_local.py",
    "core/models/test_families.py",
    "orchestration/test_flows.py",
    "orchestration/test_own_server.py",
    "orchestration/test_waiting.py",
    "orchestration/test_dead_runs.py",
)


def wanted(row: str) -> list[str]:
    """What pip is told to install for a row."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    every = [Requirement(text) for text in project["dependencies"]]
    others = [each for each in every if each.name != "torch"]
    if row == "newest":
        return ["--upgrade", *map(str, others)]
    bounds = ((each.name, re.search(r">=([^,]+)", str(each.specifier))) for each in others)
    return [f"{name}=={bound[1]}" for name, bound in bounds if bound]


def made(row: str) -> Path:
    """Make the environment of a row; returns its interpreter."""
    home, here = HOME / row, sysconfig.get_path("purelib")
    venv.create(home, clear=True, with_pip=True)
    there = sysconfig.get_path("purelib", vars={"base": str(home)})
    Path(there, "below.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    python = home / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-compile"]
    subprocess.run([*pip, *wanted(row)], check=True)
    return python


def found(python: Path) -> list[str]:
    """The versions that a row has of the packages in `SHOWN`."""
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    told = subprocess.run([python, "-c", code, *SHOWN], check=True, capture_output=True, text=True)
    return told.stdout.split()


def tried(python: Path, options: list[str]) -> tuple[bool, str]:
    """Whether the tests pass with an interpreter, and pytest's last line."""
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore", *options]
    files = [REPOSITORY / "tests" / name for name in TESTS]
    done = subprocess.run(
        [*command, *files], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False
    )
    *before, last = done.stdout.rstrip().splitlines() or ["did not start"]
    if done.returncode:
        progress("\n".join(before))
    return done.returncode == 0, last


def main() -> int:
    """Try the rows that are asked for, and print them as a table; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--row", choices=ROWS, action="append", help="of these; default: all")
    parser.add_argument("options", nargs="*", help="of pytest, behind --: as -m 'not slow'")
    asked = parser.parse_args()
    lines, well = [], True
    for row in asked.row or ROWS:
        python = made(row)
        passed, last = tried(python, asked.options)
        lines.append([row, *found(python), last])
        well &= passed
    say(table(["row", *SHOWN, "tests"], lines))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
