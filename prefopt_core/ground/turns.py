"""Turns of threads: while a model is loaded, no function of a user's runs, and the other way round.

Libraries change torch's defaults for all threads while they load: a tensor that a function makes
then would be one of 16 bits.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_next, _turn = threading.Lock(), threading.Lock()
_own = threading.local()


@contextmanager
def in_turn() -> Iterator[None]:
    """Have the turn within the block; who waits for it has it before who had it last."""
    if getattr(_own, "turn", False):  # a function that loads a model
        yield
        return
    with _next:
        _turn.acquire()
    _own.turn = True
    try:
        yield
    finally:
        _own.turn = False
        _turn.release()
