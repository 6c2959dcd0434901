"""Processes as the kernel tells of them in /proc."""

import os
from collections.abc import Iterator
from pathlib import Path


def running() -> Iterator[int]:
    """Ids of all processes that have not ended."""
    pids = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return (pid for pid in pids if state_of(pid) not in ("Z", ""))


def state_of(pid: int) -> str:
    """The letter that the kernel has for what a process does: T, it is stopped; "": it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def session_of(pid: int) -> int:
    """The session of a process; -1: it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def environment_of(pid: int) -> list[str]:
    """The variables it was started with; none if that may not be read."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:  # gone, or somebody else's
        return []
