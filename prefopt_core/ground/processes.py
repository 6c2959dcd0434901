"""Processes that must not outlive the one that started them."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None  # loading it after a fork may hang


def end_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Have Linux end this process when its parent ends, even by SIGKILL; nothing elsewhere.

    Called by the child, first of all. The parent is the thread that started it: that has to stay.

    Args:
        parent: Process id of the parent, as it knows it itself: it may be gone already.
        how: The signal that ends the child.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os.kill(os.getpid(), how)
