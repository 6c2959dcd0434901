"""A machine that lets the loop down: disk full or read-only, too little memory, odd clocks."""

import os
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from benchmarks.faults.trial import Trial, Unavailable

_YEAR = 365 * 86_400
# Of libfaketime, timed waits of threads never end: it moves one clock and waits by the other.
_CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long off(void) { const char *s = getenv("CLOCK_OFF_S"); return s ? atol(s) : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    now->tv_sec = at.tv_sec;
    now->tv_usec = at.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (told) *told = at.tv_sec;
    return at.tv_sec;
}
"""


def disk_full(trial: Trial, rng: Random, last: int) -> str:
    """The disk is full at some moment; then there is room again."""
    with _small_disk(trial, _size(trial.store) + rng.randrange(2**12, 2**19)):
        said = trial.run()
        trial.killed += said.code != 0  # an answer that came then could not be written either
        return _ended(trial, said.code)


def file_too_large(trial: Trial, rng: Random, last: int) -> str:
    """No file may be larger than some kB (`ulimit -f`)."""
    most = int(2 ** rng.uniform(10, 18))
    said = trial.run(limits={resource.RLIMIT_FSIZE: most})
    trial.killed += said.code != 0
    return _ended(trial, said.code)


def read_only(trial: Trial, rng: Random, last: int) -> str:
    """The store is on a disk that is read-only."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    before = ("unshare", "-m", "sh", "-c", script, str(trial.store))
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        raise Unavailable("this user may not mount")
    said = trial.run(before=before)
    return _ended(trial, said.code)


def memory_short(trial: Trial, rng: Random, last: int) -> str:
    """Processes get less memory than they ask for (`ulimit -v`), and libraries abort."""
    most = int(rng.uniform(0.6, 3.0) * 2**30)
    trial.run(limits={resource.RLIMIT_AS: most})
    return _ended(trial, trial.said.pop().code)  # what they print then is theirs


def clock_jumped(trial: Trial, rng: Random, last: int) -> str:
    """The clock is wrong by a minute to years until the run is killed, and then right."""
    off = rng.choice([-12 * _YEAR, -86_400, -60, 60, 86_400, 12 * _YEAR])
    running = trial.start(env=_wrong_clock(trial, off))
    if running.at(trial.later(rng, last), rng.uniform(0, 0.2)):
        running.kill()
    else:
        running.end()
    return f"by {_in_words(off)}"


def clock_wrong_with_server(trial: Trial, rng: Random, last: int) -> str:
    """The clock is years off when Prefect's server is started."""
    off = rng.choice([-12 * _YEAR, 12 * _YEAR, 40 * _YEAR])
    said = trial.run(*trial.run_words(server=True), env=_wrong_clock(trial, off))
    return f"by {_in_words(off)}: {_ended(trial, said.code)}"


def _wrong_clock(trial: Trial, off: int) -> dict[str, str]:
    """Variables under which a program's clock is off, and what it waits by is not."""
    library = trial.folder / "clock.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("there is no C compiler")
    build = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(library), "-ldl"]
    subprocess.run(build, input=_CLOCK, text=True, check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_OFF_S": str(off)}


@contextmanager
def _small_disk(trial: Trial, size: int) -> Iterator[None]:
    """Within the block, the store lies on a disk of so many bytes; then on one with room."""
    aside, store = trial.folder / "aside", trial.store
    store.mkdir(exist_ok=True)
    store.rename(aside)
    store.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", store],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        raise Unavailable("this user may not mount")
    try:
        shutil.copytree(aside, store, symlinks=True, dirs_exist_ok=True)
        yield
        _wait_for_end(trial)
    finally:
        shutil.rmtree(aside)
        shutil.copytree(store, aside, symlinks=True)
        subprocess.run(["umount", "-l", store], check=True)
        store.rmdir()
        aside.rename(store)


def _wait_for_end(trial: Trial) -> None:
    deadline = time.monotonic() + 15
    while trial.processes() and time.monotonic() < deadline:
        time.sleep(0.1)


def _size(folder: Path) -> int:
    """Bytes in whole pages, as a tmpfs counts them."""
    pages = (os.lstat(path).st_size // 4096 + 1 for path in folder.rglob("*"))
    return 4096 * (sum(pages) + 1)


def _ended(trial: Trial, code: int) -> str:
    return f"in {trial.stage()}" if code else "not noticed"


def _in_words(seconds: int) -> str:
    sign, size = ("−" if seconds < 0 else "+"), abs(seconds)
    units = (("years", _YEAR), ("days", 86_400), ("s", 1))
    unit, each = next((name, each) for name, each in units if size >= each)
    return f"{sign}{size // each} {unit}"
