"""How many threads a model is worth."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SMALL = 10_000_000
"""Parameters; below, handing work to a second thread takes longer than doing it."""


@contextmanager
def threads_for(model: Any) -> Iterator[None]:
    """Run a torch model of the block on one thread if it is small.

    On cores that others use too, more threads make a small model tens of times slower. And with
    one thread the same sums come out on every number of cores.
    """
    import torch

    before = torch.get_num_threads()
    if sum(p.numel() for p in model.parameters()) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
