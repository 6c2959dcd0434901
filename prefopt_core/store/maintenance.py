"""Maintenance of the store: list, find, verify, remove, and collect garbage."""

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.store.artifacts import Folder
from prefopt_core.store.index import FOLDER, Entry, entries, indexed
from prefopt_core.store.locks import is_held
from prefopt_core.store.manifests import read_manifest
from prefopt_core.store.mirror import Mirror
from prefopt_core.store.store import Store

_LASTING = {"store", "labels", "responses"}
"""First words of the names of locks that stay: few, and what they guard is dear."""

LONGEST_STAGE = 7 * 86_400.0
"""Seconds; what was written behind a URL within them may be of a stage that still runs."""

_SWEPT = ("objects", "quarantine", "leases", "probe")


@dataclass(frozen=True)
class Holding:
    """Size of the results of one stage in the store."""

    stage: str
    results: int
    rows: int
    size: int  # bytes of its objects
    seconds: float  # that computing them took


def holdings(store: Store) -> list[Holding]:
    """The number and size of results in the store, by stage."""
    sums = (pl.col(name).sum() for name in ("rows", "size", "seconds"))
    by_stage = indexed(store).group_by("stage").agg(pl.len(), *sums).sort("stage")
    return [Holding(*row) for row in by_stage.iter_rows()]


def find(store: Store, name: str) -> list[Entry]:
    """Results by table, by stage, or by the start of a cache key or digest; newest first.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    rows = indexed(store)
    for column in ("table", "stage"):
        if (named := rows.filter(pl.col(column) == name)).height:
            return list(entries(named))
    starts = (pl.col(column).str.starts_with(name) for column in ("key", "digest"))
    of_shard = pl.col("shards").list.eval(pl.element().str.starts_with(name)).list.any()
    if (named := rows.filter(pl.any_horizontal(*starts, of_shard))).height:
        return list(entries(named))
    raise StoreError(
        f"The store {store} holds nothing named {name!r}.{did_you_mean(name, names_in(store))}"
        " The start of a digest works too; `prefopt cache ls` shows what there is, `prefopt runs` "
        "which runs."
    )


def names_in(store: Store) -> list[str]:
    """The names of the tables and stages that results are of."""
    rows = indexed(store)
    return sorted({*rows["table"], *rows["stage"]})


def folders(store: Store) -> list[Path]:
    """The paths of all folders that are results: models, adapters, search indexes.

    Of a store behind a URL: of those that somebody has read on this machine.
    """
    made = entries(indexed(store).filter(pl.col("table") == FOLDER))
    paths = [store.folder_path(one.output) for one in made if isinstance(one.output, Folder)]
    return [path for path in paths if path.is_dir()] if store.mirror else paths


def verify(store: Store) -> Iterator[tuple[Entry, str]]:
    """Compare every object with its digest; yields (result, problem), "" for intact.

    Behind a URL all of them are read there; each once.
    """
    compare = cache(lambda path, parts: store.compare(path, dict(parts)))
    for entry in entries(indexed(store)):
        objects = ((path, tuple(parts.items())) for path, parts in store.objects(entry.output))
        yield entry, next(filter(None, (compare(*each) for each in objects)), "")


def remove(store: Store, name: str) -> list[Entry]:
    """Delete the manifests that `find` finds; `collect_garbage` frees their objects.

    Labels are never touched.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    of_stage = list(entries(indexed(store).filter(pl.col("stage") == name)))
    found = of_stage or find(store, name)
    for entry in found:
        store.forget(entry.stage, entry.key)
    return found


def collect_garbage(
    store: Store, *, dry_run: bool = False, older_than: float | None = None
) -> tuple[int, int]:
    """Delete objects, quarantined files, unfinished work and locks that nothing refers to.

    Labels and the manifests stay. Waits for stages that run on this machine, whose objects have no
    manifest yet; those that run elsewhere, on a store behind a URL, are safe by the age of theirs.

    Args:
        store: What is cleaned: behind a URL, then the copy here.
        dry_run: Only count.
        older_than: Seconds; what is younger stays. None: a week behind a URL, else nothing does.

    Returns:
        (files and folders deleted, bytes).

    Raises:
        StoreError: A manifest behind the URL cannot be read, so it is not known what it needs.
    """
    if store.mirror:
        age = LONGEST_STAGE if older_than is None else older_than
        swept = _sweep(store, store.mirror, dry_run, age)
        here = _collected_here(store, dry_run, 0.0)
        return swept[0] + here[0], swept[1] + here[1]
    return _collected_here(store, dry_run, older_than or 0.0)


def _sweep(store: Store, mirror: Mirror, dry_run: bool, older_than: float) -> tuple[int, int]:
    """Delete what is old and unneeded behind a URL; (objects, bytes).

    Listed before the manifests: an object that one of them names by then stays.
    """
    before = mirror.remote.now() - older_than
    listed = {name: s for folder in _SWEPT for name, s in mirror.remote.listed(folder).items()}
    kept: set[str] = set()
    store.bring_manifests()
    for path in (store.root / "manifests").glob("*/*.json"):
        manifest = read_manifest(path)
        if isinstance(manifest, str) and not path.exists():
            continue  # removed since
        if isinstance(manifest, str):
            raise StoreError(
                f"{store}/{path.relative_to(store.root)}: {manifest}. It may be of a later "
                "prefopt, whose results would be lost: update this one; or delete that file."
            )
        kept.update(str(p.relative_to(store.root)) for p, _ in store.objects(manifest.output))
    old = {
        name: stamp
        for name, stamp in listed.items()
        if stamp.modified < before and "/".join(name.split("/")[:3]) not in kept
    }
    if not dry_run:
        mirror.sweep(old)
    return len(old), sum(stamp.size for stamp in old.values())


def _collected_here(store: Store, dry_run: bool, older_than: float) -> tuple[int, int]:
    with store.in_use(alone=True):
        for lock in (store.root / "locks").iterdir() if not dry_run else []:
            if lock.name.partition("-")[0] not in _LASTING:
                is_held(lock, remove=True)  # left by a killed process, or an earlier prefopt
        before = time.time() - older_than if older_than else math.inf
        return _collect_garbage(store, dry_run, before)


def _collect_garbage(store: Store, dry_run: bool, before: float) -> tuple[int, int]:
    kept = {path for m in store.manifests() for path, _ in store.objects(m.output)}
    paths = [p for p in (store.root / "objects").glob("*/*") if p not in kept]
    paths += (store.root / "quarantine").glob("*")
    paths += (store.root / "work").glob("*")
    paths += store.root.glob(f"*/{TEMPORARY}*")
    paths = [path for path in paths if path.lstat().st_mtime <= before]
    size = sum(_bytes(path) for path in paths)
    for path in paths if not dry_run else []:
        shutil.rmtree(path) if _is_folder(path) else path.unlink(missing_ok=True)
    return len(paths), size


def _bytes(path: Path) -> int:
    files = path.rglob("*") if _is_folder(path) else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() or file.is_symlink())


def _is_folder(path: Path) -> bool:
    """Whether a folder is there itself: what a link leads to is not the store's."""
    return path.is_dir() and not path.is_symlink()
