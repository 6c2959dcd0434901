"""The number of CPU threads for a torch model: one if the model is small."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SMALL_MODEL = 10_000_000
"""Parameters below which a second thread costs more time than it saves."""


def own_threads() -> None:
    """Give this thread the number of threads that torch has now, for good.

    A thread takes torch's number when it first uses it. Were that while another one is within
    `threads_for`, it would have one thread ever after, and round otherwise.
    """
    import torch

    torch.get_num_threads()


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
    try:
        yield
    finally:
        torch.set_num_threads(before)
