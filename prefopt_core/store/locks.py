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
def locked(
    path: Path, purpose: str, *, shared: bool = False, passing: bool = False
) -> Iterator[None]:
    """Hold the lock on `path` for the block; waits while another process holds it.

    Args:
        path: Lock file; created if absent.
        purpose: What the lock is held for, for the message that another process is waited for.
        shared: A shared (read) lock: any number at once, but none beside an exclusive one.
        passing: Remove the file at the end, where there are many names. Never of a lock that is
            shared, nor of one that guards money: an earlier prefopt that waits for it does not
            look whether the file is still there, and would hold it beside another.
    """
    descriptor = _taken(path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, purpose)
    try:
        yield
    finally:
        if descriptor in _held:  # not in a forked child, where it is closed already
            if passing and _is_at(descriptor, path):
                path.unlink(missing_ok=True)  # while it is held: see `_taken`
            _close(descriptor)


def _taken(path: Path, kind: int, purpose: str) -> int:
    """Descriptor of the lock file, locked; the one at `path`, not one removed while we waited."""
    while True:
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _held.add(descriptor)
        try:
            _wait_for(descriptor, kind, purpose)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            _close(descriptor)
            raise
        _close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _close(descriptor: int) -> None:
    _held.discard(descriptor)
    os.close(descriptor)


def _wait_for(descriptor: int, kind: int, purpose: str) -> None:
    told = False
    while not _is_free(descriptor, kind):
        if not told:
            log.warning("%s: another process is at it; waiting for it to finish", purpose)
            told = True
        time.sleep(0.1)


def _is_free(descriptor: int, kind: int) -> bool:
    """Whether the lock could be taken at once; then it is."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def is_held(path: Path, *, remove: bool = False) -> bool:
    """Whether some process holds the lock on `path`; if not, the file can be removed."""
    try:
        descriptor = _looked_at(path)
    except FileNotFoundError:
        return False
    try:
        if not _is_free(descriptor, fcntl.LOCK_EX):
            return True
        if remove and _is_at(descriptor, path):
            path.unlink(missing_ok=True)
        return False
    finally:
        os.close(descriptor)


def _looked_at(path: Path) -> int:
    """Descriptor of a lock file that is there: for reading, if the store is read-only."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
