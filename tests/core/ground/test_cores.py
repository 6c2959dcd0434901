"""Cores that a process may keep busy."""

import pytest

from prefopt_core.ground import cores
from prefopt_core.ground.cores import usable_cores


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu.max": "150000 100000"}, 2),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "900000 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
    ],
)
def test_cores_are_no_more_than_a_container_may_use(tmp_path, monkeypatch, files, count):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(cores, "_CGROUP", tmp_path)
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert usable_cores() == count
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: {1}, raising=False)
    assert usable_cores() == 1
