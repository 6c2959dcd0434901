"""Atomic writes (temporary file, then rename, then fsync) and sha256 digests of files."""

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from prefopt_core.ground.errors import StoreError

TEMPORARY = ".tmp-"
"""Prefix of the names of unfinished files; never read, removed by `prefopt cache gc`."""

_REMEDIES = {
    errno.ENOSPC: "the disk is full. Free some space (`prefopt cache gc`)",
    errno.EDQUOT: "the disk quota is used up. Free some space (`prefopt cache gc`)",
    errno.EFBIG: "a file may not be as large there. Raise the limit (`ulimit -f`)",
    errno.EROFS: "the disk is read-only. Make it writable",
    errno.EACCES: "this user may not write there. Change its permissions",
    errno.EPERM: "this user may not write there. Change its permissions",
    errno.ENOENT: "no folder can be made there. Look for a mistake in its path",
    errno.ENAMETOOLONG: "the path is too long. Shorten it",
    errno.ENOTDIR: "a file is where a folder should be. Move it away",
    errno.EEXIST: "a file is where a folder should be. Move it away",
    errno.EISDIR: "a folder is where a file should be. Move it away",
    errno.ELOOP: "a link in its path leads to itself. Remove it",
}


@contextmanager
def temporary(folder: Path) -> Iterator[Path]:
    """A new empty file in `folder`, gone after the block unless it was published."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=TEMPORARY)
    os.fchmod(descriptor, 0o644)  # others who may enter the folder may read what is published
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def publish(source: Path, target: Path) -> None:
    """Rename a finished file or folder to its final name and fsync the folder that has it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(source, target)
    sync(target.parent)


def write_whole(path: Path, write: Callable[[Path], object], near: Path | None = None) -> None:
    """Write a file atomically: `write` fills a temporary file, which is then renamed to `path`.

    Args:
        path: The file's final name.
        write: Called with the path of the temporary file.
        near: Folder of the temporary file, on the same disk; that of `path` if left out.

    Raises:
        StoreError: The operating system refuses to write.
    """
    with explained(path.parent), temporary(near or path.parent) as file:
        write(file)
        publish(file, path)


def sync(path: Path) -> None:
    """Flush (fsync) a file's contents, or a folder's list of names, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_digest(path: Path) -> tuple[str, int]:
    """(sha256, bytes) of a file; cached per process by inode, size and modification time.

    Raises:
        OSError: There is none, or something else is there, such as a folder or a pipe.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        raise IsADirectoryError(errno.EISDIR, "It is no file", str(path))
    return _digest(_File(path, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))


@dataclass(frozen=True)
class _File:
    """A file as it is now, under any name: one that is renamed is not read again."""

    path: Path = field(compare=False)
    device: int
    inode: int
    size: int
    modified_ns: int


@lru_cache(maxsize=100_000)
def _digest(file: _File) -> tuple[str, int]:
    with file.path.open("rb", buffering=0) as opened:
        if file.size < 2**18:  # of that size is the buffer that `file_digest` makes
            return hashlib.sha256(opened.readall()).hexdigest(), file.size
        return hashlib.file_digest(opened, "sha256").hexdigest(), file.size


def content_digest(path: Path) -> str | None:
    """sha256 of a file, or of the names and digests of a folder's files; None if it is neither."""
    try:
        if path.is_file():
            return file_digest(path)[0]
        if not path.is_dir():
            return None
    except OSError:  # not a name a file could have
        return None
    files = sorted(p for p in path.rglob("*") if p.is_file())
    listing = "".join(f"{p.relative_to(path).as_posix()} {file_digest(p)[0]}\n" for p in files)
    return hashlib.sha256(listing.encode()).hexdigest()


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Turn an error of writing under `folder` (disk full, read-only, …) into a StoreError.

    It may be an OSError, or what Rust (safetensors, polars) and torch make of one.

    Raises:
        StoreError: The operating system refuses to write for a reason in `_REMEDIES`.
    """
    try:
        yield
    except Exception as error:
        number = _refusal(error)
        if number not in _REMEDIES or (number == errno.ENOENT and folder.is_dir()):
            raise
        there = next(place for place in (folder, *folder.parents) if os.path.isdir(place))
        free = shutil.disk_usage(there).free // 2**20
        raise StoreError(
            f"Cannot write to {folder} ({free} MiB free): {_REMEDIES[number]}, or point "
            "PREFOPT_STORE elsewhere. Nothing half-written is kept; the same command goes on "
            "from what is finished."
        ) from error


def _refusal(error: Exception) -> int | None:
    """Number of the operating system's error behind an exception; None if there is none."""
    if isinstance(error, OSError):
        return error.errno
    if told := re.search(r"\(os error (\d+)\)", str(error)):  # as Rust ends its messages
        return int(told[1])
    # torch's archives know only that a write failed, or a read.
    lost = "inline_container.cc" in str(error) and "Reader" not in str(error)
    return errno.ENOSPC if lost else None
