"""Commands that need not import torch first: forked from a process that has.

What a run costs here is nine tenths imports. A fork of a process that has done them is a process as
any other, to be killed as any other; what it starts itself is started as ever. Faults that a
process has to be born with (another clock, another view of the disk) start it from nothing.
"""

import atexit
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

from benchmarks.faults.planted import DEFECTS
from prefopt_core.ground.processes import end_with

FIXED = {
    "OMP_NUM_THREADS": "1",  # sums depend on it
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "DO_NOT_TRACK": "1",
}
"""Variables that libraries read when they are imported."""
Limits = Mapping[int, int]
"""Resource of `resource.setrlimit` → its most."""

_context = get_context("forkserver")
_context.set_forkserver_preload(["benchmarks.faults.imports"])


class Warm:
    """A `prefopt` that was forked, with the part of Popen's face that is used here."""

    def __init__(
        self,
        words: Sequence[str],
        defect: str,
        folder: Path,
        env: Mapping[str, str],
        files: tuple[Path, Path],
        limits: Limits,
    ) -> None:
        self._process = _context.Process(
            target=_be, args=(words, defect, folder, dict(env), files, dict(limits))
        )
        self._process.start()
        self.pid = int(self._process.pid or 0)

    def poll(self) -> int | None:
        """Its exit status, if it has ended; negative: the signal that ended it."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its exit status."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("prefopt", timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, how: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, how)


def _be(
    words: Sequence[str],
    defect: str,
    folder: Path,
    env: dict[str, str],
    files: tuple[Path, Path],
    limits: dict[int, int],
) -> None:
    end_with(os.getppid())
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the campaign does
    os.chdir(folder)
    os.environ.clear()
    os.environ |= env
    for number, file in ((0, Path(os.devnull)), *enumerate(files, 1)):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))
    from flows.cli import main

    if defect:
        DEFECTS[defect]()
    sys.argv = ["prefopt", *words]
    try:
        sys.exit(main(words))
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out
