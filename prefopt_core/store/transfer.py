"""Copy the results, records and pages of a local store behind a URL, and back.

Each manifest goes after what it names, as when it was made: a copy that is broken off is whole as
far as it came, and goes on from there. Labels and responses that were paid for do not go along.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import ConfigError
from prefopt_core.store.manifests import Manifest, parsed, read_manifest
from prefopt_core.store.mirror import Mirror
from prefopt_core.store.remote import remote_at
from prefopt_core.store.store import Store

_TOGETHER = 32
"""Results whose objects are on their way at the same time."""


@dataclass(frozen=True)
class Copied:
    """One result that was looked at.

    Attributes:
        name: Its stage and the start of its key.
        new: Whether it was copied; else it was there, or has a problem.
        problem: Why it cannot be copied, or "".
        size: Bytes of objects that were copied with it and those beside it.
    """

    name: str
    new: bool
    problem: str
    size: int


def push(store: Store, url: str) -> Iterator[Copied]:
    """Copy all results of a local store behind a URL; yields each as soon as it is there.

    Raises:
        ConfigError: The store is behind a URL itself, or `url` is none of a store.
        StoreError: The server does not answer, refuses, or ignores conditions.
    """
    there = _both(store, url)
    assert there.mirror
    there.mirror.remote.try_conditions()
    with store.in_use():
        manifests = list(store.manifests())
        for start in range(0, len(manifests), _TOGETHER):
            yield from _pushed(store, there, there.mirror, manifests[start : start + _TOGETHER])
        # Objects that were there and that nothing needed: a `cache gc` may have been at them.
        again = Mirror(store.root, there.mirror.remote)
        whole = (m.output for m in manifests if not store.check(m.output))
        again.add(each for output in whole for each in store.objects(output))
        _push_pages(again)


def pull(store: Store, url: str) -> Iterator[Copied]:
    """Copy all results behind a URL to a local store; yields each as soon as it is there.

    Raises:
        ConfigError: The store is behind a URL itself, or `url` is none of a store.
        StoreError: The server does not answer or refuses, or the store cannot be written.
    """
    there = _both(store, url)
    assert there.mirror
    with store.in_use():
        for name in there.mirror.remote.listed("manifests"):
            yield _pulled(store, there, there.mirror, store.root / name)
        _pull_pages(there.mirror)


def _both(store: Store, url: str) -> Store:
    """The store behind the URL, whose copy is the local store: what one has, goes to the other."""
    if store.mirror:
        raise ConfigError(
            f"PREFOPT_STORE is {store}. Point it at a local folder: `prefopt cache push` and "
            "`pull` copy between a folder and a URL."
        )
    return Store(store.root, Mirror(store.root, remote_at(url)))


def _pushed(
    store: Store, there: Store, mirror: Mirror, manifests: list[Manifest]
) -> Iterator[Copied]:
    problems = [store.check(manifest.output) for manifest in manifests]
    whole = [m for m, problem in zip(manifests, problems, strict=True) if not problem]
    size = mirror.add(each for m in whole for each in store.objects(m.output))
    for manifest, problem in zip(manifests, problems, strict=True):
        path = store.manifest_path(manifest.stage, manifest.key)
        new = not problem and mirror.commit(path, path.read_bytes(), there.stands, replace=False)
        yield Copied(_name(path), new, problem, size)
        size = 0


def _pulled(store: Store, there: Store, mirror: Mirror, path: Path) -> Copied:
    here = read_manifest(path)
    if isinstance(here, Manifest) and not store.check(here.output):
        return Copied(_name(path), False, "", 0)
    manifest = parsed(mirror.read(path) or b"", path)
    if isinstance(manifest, str):
        return Copied(_name(path), False, manifest, 0)
    wanted = [each for each in there.objects(manifest.output) if store.problem(*each)]
    if problem := next(filter(None, mirror.fetch(wanted)), ""):
        return Copied(_name(path), False, problem, 0)
    store.put_manifest(manifest)
    size = sum(part.size for _, parts in wanted for part in parts.values())
    return Copied(_name(path), True, "", size)


def _push_pages(mirror: Mirror) -> None:
    there = mirror.remote.listed("runs")
    for path in sorted((mirror.root / "runs").rglob("*")):
        stamp = there.get(path.relative_to(mirror.root).as_posix())
        if path.is_file() and (stamp is None or stamp.modified < path.stat().st_mtime):
            mirror.write(path, path.read_bytes())


def _pull_pages(mirror: Mirror) -> None:
    for name, stamp in mirror.remote.listed("runs").items():
        path = mirror.root / name
        if not path.is_file() or path.stat().st_mtime < stamp.modified:
            mirror.copy(path)


def _name(path: Path) -> str:
    return f"{path.parent.name} {path.stem[:12]}"
