"""A store for one test, and programs that work in it as processes of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prefopt_core.store.store import Store

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def start():
    """Start a Python program; what still runs when the test ends is killed."""
    running = []

    def start(code, *arguments, inside=(), **environment):
        process = subprocess.Popen(
            [*inside, sys.executable, "-c", code, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Run a Python program to its end; returns what it prints."""

    def run(code, *arguments, **options):
        process = start(code, *arguments, **options)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        return printed

    return run


_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.fixture
def small_disk(run, tmp_path):
    """Run a program with a file system of its own, of `kilobytes`, at its first argument."""
    attempt = [*_NAMESPACE, "mount", "-t", "tmpfs", "none", tmp_path]
    if not shutil.which("unshare") or subprocess.run(attempt, capture_output=True).returncode:
        pytest.skip("this machine does not let tests mount a file system")
    disk = tmp_path / "disk"
    disk.mkdir()

    def on_disk(code, *arguments, kilobytes=1024):
        mount = f'mount -t tmpfs -o size={kilobytes}k none {disk} && exec "$@"'
        return run(code, disk, *arguments, inside=[*_NAMESPACE, "sh", "-c", mount, "sh"])

    return on_disk


@pytest.fixture
def preset():
    """The smallest comparison, to be changed at will."""
    return yaml.safe_load((REPOSITORY / "presets" / "tiny.yaml").read_text())
