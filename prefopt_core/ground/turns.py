"""Turns of threads: while a model is loaded, no function of a user's runs, and the other way round.

Libraries change torch's defaults for all threads while they load: a tensor that a function makes
then would be one of 16 bits.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_line: list[int] = []
"""Threads: who has the turn, and behind it who waits for it, as they came."""
_moved = threading.Condition()


@contextmanager
def in_turn() -> Iterator[None]:
    """Have the turn within the block; who waits for it has it before who had it last."""
    me = threading.get_ident()
    if _line[:1] == [me]:  # a function that loads a model
        yield
        return
    try:
        with _moved:
            _line.append(me)
            _moved.wait_for(lambda: _line[0] == me)
        yield
    finally:  # wherever Ctrl-C came: who stayed in line would hold up all behind
        with _moved:
            if me in _line:
                _line.remove(me)
            _moved.notify_all()
