"""How many CPU cores this process may keep busy."""

import os
import sys
from contextlib import suppress
from math import ceil
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """The cores this process may run on, or fewer where a container's share of CPU time is less.

    Threads beyond such a share stand still for most of each tenth of a second.
    """
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(here or 1, _quota(_CGROUP) or sys.maxsize)


def _quota(cgroup: Path) -> int | None:
    """Cores whose time the control group may use, rounded up; None: no limit, or none known."""
    version_1 = cgroup / "cpu"
    with suppress(OSError, ValueError):
        if (both := cgroup / "cpu.max").is_file():
            quota, period = both.read_text().split()
        else:
            quota = (version_1 / "cpu.cfs_quota_us").read_text()
            period = (version_1 / "cpu.cfs_period_us").read_text()
        return max(ceil(int(quota) / int(period)), 0) or None  # "max" and -1: no limit
    return None
