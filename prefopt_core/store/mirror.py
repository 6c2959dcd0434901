"""A local folder as a verified copy of the store behind a URL.

What lies behind the URL has the names that it has in a folder:

objects/ab/<sha256>.parquet   a shard
objects/ab/<sha256>/<file>    a folder, each file an object; links are what they lead to
manifests/<stage>/<key>.json  created last: the first stands, whoever made it
runs/<name>/…                 records and pages: the last stands
leases/  quarantine/          see `store.leases`; what did not match its digest

An object may be written again by whoever makes the same bytes: that mends it, and tells `gc` that
it is in use.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TypeVar

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import explained, file_digest, publish, sync, temporary, write_whole
from prefopt_core.store.artifacts import File, Shard
from prefopt_core.store.intact import Parts
from prefopt_core.store.locks import locked
from prefopt_core.store.remote import Remote, Stamp, remote_at

_T = TypeVar("_T")

_AT_ONCE = 8
"""Files on their way at the same time."""


class Mirror:
    """The folder `root` as a copy of what is behind `remote`; all paths given are below `root`."""

    def __init__(self, root: Path, remote: Remote) -> None:
        self.root = root
        self.remote = remote
        self._listed: dict[str, dict[str, Stamp]] = {}

    # --- objects --------------------------------------------------------------------------------

    def problem(self, path: Path, parts: Parts) -> str:
        """Compare the sizes of an object's files behind the URL; what is wrong with it, or ""."""
        stamps = {name: self._stamp(name) for name, _, _ in self._files(path, parts)}
        if not all(stamps.values()):
            return f"{path.name[:12]} is gone from the store"
        sizes = {name: part.size for name, _, part in self._files(path, parts)}
        wrong = {name: s for name, s in stamps.items() if s and s.size != sizes[name]}
        return self._put_away(path, wrong) if wrong else ""

    def fetch(self, objects: Sequence[tuple[Path, Parts]]) -> list[str]:
        """Copy objects here, each once for all processes of this machine; what is wrong, or ""."""
        with locked(self.root / "locks" / "store", "the store", shared=True):
            return _many(self._fetch, objects)

    def read(self, path: Path) -> bytes | None:
        """A small file behind the URL, which is not kept here; None: there is none."""
        found = self.remote.read(self._name(path))
        return found[0] if found else None

    def _fetch(self, path: Path, parts: Parts) -> str:
        lock = self.root / "locks" / f"fetch-{path.name[:32]}"
        with locked(lock, "fetching an object", passing=True), explained(self.root):
            if os.path.lexists(path):  # another process was faster
                return ""
            if problem := self.problem(path, parts):
                return problem
            work = self.root / "work" / f"fetch-{path.name[:32]}"  # stays over a kill
            if wrong := self._fetch_into(work, path, parts):
                return self._put_away(path, wrong)
            publish(work, path)
        return ""

    def digests(self, path: Path, parts: Parts) -> str:
        """Read all of an object behind the URL, keeping nothing; what is wrong with it, or ""."""
        if problem := self.problem(path, parts):
            return problem
        found = _many(lambda name, _, part: self._differs(name, part), self._files(path, parts))
        wrong = {name: stamp for name, stamp in found if stamp}
        return self._put_away(path, wrong) if wrong else ""

    def publish(self, path: Path, parts: Parts) -> None:
        """Write an object behind the URL, whether it is there or not."""
        self._upload(self._files(path, parts))

    def add(self, objects: Iterable[tuple[Path, Parts]]) -> int:
        """Write what of objects is not behind the URL in its size; returns its bytes."""
        files = [file for each in objects for file in self._files(*each)]
        stamps = _many(self._stamp, [(name,) for name, _, _ in files])
        missing = [
            file
            for file, stamp in zip(files, stamps, strict=True)
            if stamp is None or stamp.size != file[2].size
        ]
        self._upload(missing)
        return sum(part.size for _, _, part in missing)

    def _fetch_into(self, work: Path, path: Path, parts: Parts) -> dict[str, Stamp]:
        """Copy the files of an object; returns those that are not what they should be."""
        if not parts:
            work.mkdir(parents=True, exist_ok=True)

        def fetch(name: str, file: Path, part: Shard | File) -> tuple[str, Stamp | None]:
            return name, self._download(name, work / file.relative_to(path), part)

        return {name: stamp for name, stamp in _many(fetch, self._files(path, parts)) if stamp}

    def _download(self, name: str, target: Path, part: Shard | File) -> Stamp | None:
        expected = (part.sha256, part.size)
        if target.is_file() and file_digest(target) == expected:
            return None
        stamp = self._stamp(name)
        with temporary(target.parent) as file:
            with file.open("wb") as opened:
                opened.writelines(self.remote.pieces(name, part.size))
            if file_digest(file) != expected:
                return stamp
            sync(file)
            os.replace(file, target)
        return None

    def _differs(self, name: str, part: Shard | File) -> tuple[str, Stamp | None]:
        stamp, digest = self._stamp(name), sha256()
        for piece in self.remote.pieces(name, part.size):
            digest.update(piece)
        return name, None if digest.hexdigest() == part.sha256 else stamp

    def _upload(self, files: Iterable[tuple[str, Path, Shard | File]]) -> None:
        files = list(files)
        _many(self.remote.write, [(name, file) for name, file, _ in files])
        for name, _, part in files:
            if (group := self._listed.get(_group_of(name))) is not None:
                group[name] = Stamp(part.size, time.time(), "")

    def _put_away(self, path: Path, wrong: Mapping[str, Stamp]) -> str:
        """Move files out of the way, unless they have been written again since they were seen."""
        still = {name for name, seen in wrong.items() if self._is_still(name, seen)}
        for name in wrong:
            self._group(name).pop(name, None)
            if name not in still:
                continue
            try:
                self.remote.move(name, f"quarantine/{PurePosixPath(name).name}.{time.time_ns()}")
            except StoreError as error:  # who may only read is told all the same
                return f"{path.name[:12]} was damaged and stays where it is: {error}"
        if not still:
            return f"{path.name[:12]} is gone from the store"
        return f"{path.name[:12]} was damaged and is now in quarantine/"

    def _is_still(self, name: str, seen: Stamp) -> bool:
        if (now := self.remote.stamp(name)) is None:
            return False
        return (now.size, now.e_tag) == (seen.size, seen.e_tag or now.e_tag)

    def _is_as_old(self, name: str, seen: Stamp) -> bool:
        now = self.remote.stamp(name)  # written again, it may have the same e-tag
        return now is not None and int(now.modified) == int(seen.modified)

    def sweep(self, old: Mapping[str, Stamp]) -> None:
        """Delete what is still as it was listed: what was written again is in use again."""
        names, batch = sorted(old), 200  # looked at and deleted within a moment
        for first in range(0, len(names), batch):
            some = names[first : first + batch]
            still = _many(self._is_as_old, [(name, old[name]) for name in some])
            self.remote.delete(name for name, same in zip(some, still, strict=True) if same)
        self._listed.clear()

    # --- manifests, records, pages --------------------------------------------------------------

    def bring(self, path: Path, *, listed: bool = True) -> None:
        """Make the copy of one file what is behind the URL; not `listed`: what is there now."""
        name = self._name(path)
        if (stamp := self._stamp(name) if listed else self.remote.stamp(name)) is None:
            path.unlink(missing_ok=True)
        elif not stamp.is_of(path):
            self._copy(name)

    def bring_all(self, folder: str, ending: str = ".json") -> None:
        """Make the copies of all files below a folder that end so what is behind the URL now."""
        listed = {n: s for n, s in self.remote.listed(folder).items() if n.endswith(ending)}
        _many(self._copy, [(n,) for n, s in listed.items() if not s.is_of(self._path(n))])
        for path in (self.root / folder).glob(f"**/*{ending.lstrip('/')}"):
            name = self._name(path)
            # Another process may have made it since the list.
            if name not in listed and self.remote.stamp(name) is None:
                path.unlink(missing_ok=True)
                self._group(name).pop(name, None)

    def write(self, path: Path, content: bytes) -> None:
        """Write a record or a page behind the URL; the last one stands."""
        self.remote.write(self._name(path), content)

    def commit(
        self, path: Path, content: bytes, stands: Callable[[bytes], bool], *, replace: bool
    ) -> bool:
        """Create a manifest, unless somebody was first; it is not copied here.

        Args:
            path: Where its copy would be.
            content: The manifest.
            stands: Whether one that is there already is to stay.
            replace: Replace even that, unless somebody else does in this moment.

        Returns:
            Whether it is ours that stands.
        """
        name = self._name(path)
        while not self.remote.create(name, content):
            if (found := self.remote.read(name)) is None:
                continue  # it was removed since
            if not replace and stands(found[0]):
                return False
            if self.remote.replace(name, content, found[1]):
                return True
            replace = False  # what is there now is as new as ours
        return True

    def forget(self, paths: Iterable[Path]) -> None:
        """Delete files behind the URL."""
        names = [self._name(path) for path in paths]
        self.remote.delete(names)
        for name in names:
            self._group(name).pop(name, None)

    def copy(self, path: Path) -> None:
        """Copy one file here, whatever is here."""
        self._copy(self._name(path))

    def _copy(self, name: str) -> None:
        path = self._path(name)
        if (found := self.remote.read(name)) is None:
            self._group(name).pop(name, None)
            path.unlink(missing_ok=True)
            return
        content, stamp = found

        def write(file: Path) -> None:
            file.write_bytes(content)
            os.utime(file, ns=(stamp.time_ns,) * 2)

        write_whole(path, write, self.root / name.partition("/")[0])
        self._group(name)[name] = stamp

    # --- names ----------------------------------------------------------------------------------

    def _stamp(self, name: str) -> Stamp | None:
        """By a list that is made once per process and folder; what is not in it is asked for."""
        group = self._group(name)
        if name not in group and (stamp := self.remote.stamp(name)):
            group[name] = stamp
        return group.get(name)

    def _group(self, name: str) -> dict[str, Stamp]:
        group = _group_of(name)
        if group not in self._listed:
            self._listed[group] = self.remote.listed(group)
        return self._listed[group]

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _path(self, name: str) -> Path:
        return self.root / name

    def _files(self, path: Path, parts: Parts) -> Iterator[tuple[str, Path, Shard | File]]:
        """(name, path, what it should be) of each file of an object."""
        for name, part in parts.items():
            yield self._name(path / name), path / name, part


@cache
def mirror_of(url: str, caches: Path) -> Mirror:
    """The copy of the store at a URL, in a folder of its own below `caches`."""
    remote = remote_at(url)
    root = caches / sha256(remote.url.encode()).hexdigest()[:16]
    return Mirror(root.resolve(), remote)


def _group_of(name: str) -> str:
    return "/".join(name.split("/")[:2])


def _many(function: Callable[..., _T], arguments: Iterable[tuple[object, ...]]) -> list[_T]:
    """The function's results for each of the arguments; it is called by several threads."""
    calls = list(arguments)
    if len(calls) < 2:
        return [function(*call) for call in calls]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda call: function(*call), calls))
