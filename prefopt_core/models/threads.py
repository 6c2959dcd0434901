"""The number of CPU threads for a torch model: one if it is small, or for each of its batches."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Lock, Thread
from typing import Any, TypeVar

from prefopt_core.ground.cores import usable_cores

T = TypeVar("T")
R = TypeVar("R")

SMALL_MODEL = 10_000_000
"""Parameters below which a second thread costs more time than it saves."""

_setting = Lock()


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """Limit torch to one thread within the block if `model` is small.

    On shared cores more threads make a small model tens of times slower. And one thread gives the
    same rounding on machines with any number of cores.
    """
    small = sum(p.numel() for p in model.parameters()) < SMALL_MODEL
    with one_thread() if small else nullcontext():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit what this thread does in torch within the block to one thread."""
    import torch

    with _setting:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        # A thread keeps the number that was set last when it first uses torch: this one's is set,
        # and what users' functions do beside it shall have all.
        other = Thread(target=torch.set_num_threads, args=(before,))
        other.start()
        other.join()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def on_all_cores(call: Callable[[T], R], jobs: Iterable[T]) -> Iterator[R]:
    """Call with each job, as many at once as there are cores, each on one thread of torch's.

    Threads that share a product wait for the slowest of them, on a busy machine most of the time;
    these wait for nobody.

    Args:
        call: Spends its time in torch, which lets other threads of Python go on meanwhile.
        jobs: What to call it with; the longest first.

    Yields:
        What it returned, in the order of the jobs.
    """

    def alone(job: T) -> R:
        with one_thread():
            return call(job)

    pool = ThreadPoolExecutor(cores())
    try:
        yield from pool.map(alone, jobs)
    finally:
        pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many threads have a core: torch's number, or fewer where the machine gives less.

    torch counts what OMP_NUM_THREADS says or the machine has.
    """
    import torch

    return min(torch.get_num_threads(), usable_cores())
