"""The number of CPU threads for a torch model: one if the model is small."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

SMALL_MODEL = 10_000_000
"""Parameters below which a second thread costs more time than it saves."""


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """Limit torch to one thread within the block if `model` is small.

    On shared cores more threads make a small model tens of times slower. And one thread gives the
    same rounding on machines with any number of cores.
    """
    import torch

    before = torch.get_num_threads()
    if sum(p.numel() for p in model.parameters()) < SMALL_MODEL:
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
