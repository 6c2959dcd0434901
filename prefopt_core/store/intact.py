"""Is an object what its record says? What is not is moved out of the way, never deleted."""

import errno
import logging
import os
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import file_digest
from prefopt_core.store.artifacts import File, Shard

log = logging.getLogger(__name__)

Parts = Mapping[str, Shard] | Mapping[str, File]
"""Path below an object → what is there; "." of an object that is a file."""

_NO_FILE = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}
"""What the operating system says of something else in the place of a file."""


def problem_of(path: Path, parts: Parts, quarantine: Path, *, by_size: bool = False) -> str:
    """Compare an object with its digests, put it away if it is damaged; the problem, or "".

    A folder has its own files alone: others would be loaded with them. They are put away. `by_size`
    compares no more than sizes.

    Raises:
        StoreError: The operating system refuses to read.
    """
    paths = {name: path / name if name != "." else path for name in parts}
    whole = all(_is_intact(paths[name], part, by_size) for name, part in parts.items())
    if whole and (
        parts or path.is_dir()  # a folder may be empty
    ):
        added = [] if "." in parts else _strays(path, parts)
        told = [f"{path.name[:12]}/{each.name} {put_away(each, quarantine)}" for each in added]
        if told:
            log.warning("Added to what the store made: %s", "; ".join(told))
        return next((one for one in told if "could not" in one), "")
    if not os.path.lexists(path):
        return f"{path.name[:12]} is gone from the store"
    return f"{path.name[:12]} was damaged and {put_away(path, quarantine)}"


def put_away(path: Path, quarantine: Path) -> str:
    """Move something into the folder `quarantine`; how that went, in words."""
    try:
        quarantine.mkdir(parents=True, exist_ok=True)
        path.rename(quarantine / f"{path.name}.{time.time_ns()}")
    except FileNotFoundError:  # another process was faster
        pass
    except OSError as error:
        return f"could not be moved to quarantine/ ({error.strerror})"
    return "is now in quarantine/"


def is_file(path: Path) -> bool:
    """Whether a file is there itself, not a link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _is_intact(path: Path, expected: Shard | File, by_size: bool) -> bool:
    try:
        if by_size:
            found = path.lstat()
            return stat.S_ISREG(found.st_mode) and found.st_size == expected.size
        return file_digest(path) == (expected.sha256, expected.size)
    except OSError as error:
        if error.errno in _NO_FILE:
            return False
        raise StoreError(
            f"Cannot read {path}: {error.strerror}. Look at its permissions and at the disk; "
            "nothing was changed."
        ) from error


def _strays(folder: Path, parts: Parts) -> list[Path]:
    """What could be read below a folder and is no part of it."""
    return [path for path in _readable(folder) if path.relative_to(folder).as_posix() not in parts]


def _readable(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() or (path.is_symlink() and path.is_dir()):
            yield path
