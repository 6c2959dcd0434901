"""File locks between processes: flock, which the kernel releases when the holder is killed."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefopt_core.ground.files import explained

log = logging.getLogger(__name__)

_held: set[int] = set()


def _close_in_child() -> None:
    # A forked child shares its parent's locks; if it outlived a killed parent they would stay.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def locked(path: Path, purpose: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock on `path` for the block; waits while another process holds it.

    Args:
        path: Lock file; created if absent and never removed, so that all lock the same inode.
        purpose: What the lock is held for, for the message that another process is waited for.
        shared: A shared (read) lock: any number at once, but none beside an exclusive one.
    """
    with explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    _held.add(descriptor)
    try:
        _wait_for(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, purpose)
        yield
    finally:
        if descriptor in _held:  # not in a forked child, where it is closed already
            _held.discard(descriptor)
            os.close(descriptor)


def _wait_for(descriptor: int, kind: int, purpose: str) -> None:
    told = False
    while True:
        try:
            return fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if not told:
            log.warning("%s: another process is at it; waiting for it to finish", purpose)
            told = True
        time.sleep(0.1)


def is_held(path: Path) -> bool:
    """Whether some process holds the lock on `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return True
    finally:
        os.close(descriptor)
    return False
