"""Each measurement in a process of its own, so that its memory is its own; Linux only."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from benchmarks.scale import counting, people, pools, tables
from benchmarks.scale.tables import Figures, Watched

MEASURES: dict[str, Callable[[int, Path, Watched], Figures]] = {
    "rows": tables.rows,
    "prompts": tables.prompts,
    "budget": people.budget,
    "shards": counting.shards,
    "workers": counting.workers,
    "requests": counting.requests,
    "pools": pools.pools,
    "desk": people.desk,
    "labels": people.labels,
}


def watched(call: Callable[[], object]) -> Figures:
    """Call it; seconds of wall time, and the MB at its peak beyond those before the first call."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
    before, started = _before(), time.perf_counter()
    call()
    return {"seconds": time.perf_counter() - started, "mb": (_kb("VmHWM") - before) / 1000}


@cache
def _before() -> float:
    return _kb("VmRSS")


def _kb(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(field))


def measured(name: str, size: int) -> Figures:
    """The figures of one measurement at one size, from a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale.measuring", name, str(size)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        found = MEASURES[sys.argv[1]](int(sys.argv[2]), Path(temporary), watched)
        print(json.dumps(found))
