"""Maintenance of the store: list, find, verify, remove, and collect garbage."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.store.artifacts import Folder
from prefopt_core.store.index import FOLDER, Entry, entries, indexed
from prefopt_core.store.locks import is_held
from prefopt_core.store.store import Store

_LASTING = {"store", "labels", "responses", "holder"}
"""First words of the names of locks that stay: few, and what they guard is dear."""


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
        f"The store {store.root} holds nothing named {name!r}.{did_you_mean(name, names_in(store))}"
        " The start of a digest works too; `prefopt cache ls` shows what there is, `prefopt runs` "
        "which runs."
    )


def names_in(store: Store) -> list[str]:
    """The names of the tables and stages that results are of."""
    rows = indexed(store)
    return sorted({*rows["table"], *rows["stage"]})


def folders(store: Store) -> list[Path]:
    """The paths of all folders that are results: models, adapters, search indexes."""
    made = entries(indexed(store).filter(pl.col("table") == FOLDER))
    return [store.folder_path(one.output) for one in made if isinstance(one.output, Folder)]


def verify(store: Store) -> Iterator[tuple[Entry, str]]:
    """Compare every object with its digest; yields (result, problem), "" for intact."""
    for entry in entries(indexed(store)):
        yield entry, store.check(entry.output)


def remove(store: Store, name: str) -> list[Entry]:
    """Delete the manifests that `find` finds; `collect_garbage` frees their objects.

    Labels are never touched.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    of_stage = list(entries(indexed(store).filter(pl.col("stage") == name)))
    found = of_stage or find(store, name)
    for entry in found:
        store.manifest_path(entry.stage, entry.key).unlink(missing_ok=True)
    return found


def collect_garbage(store: Store, *, dry_run: bool = False) -> tuple[int, int]:
    """Delete objects, quarantined files, unfinished work and locks that nothing refers to.

    Labels and the manifests stay. Waits for running stages, whose objects have no manifest yet.

    Returns:
        (files and folders deleted, bytes).
    """
    with store.in_use(alone=True):
        for lock in (store.root / "locks").iterdir() if not dry_run else []:
            if lock.name.partition("-")[0] not in _LASTING:
                is_held(lock, remove=True)  # left by a killed process, or an earlier prefopt
        return _collect_garbage(store, dry_run)


def _collect_garbage(store: Store, dry_run: bool) -> tuple[int, int]:
    kept: set[Path] = set()
    for manifest in store.manifests():
        if isinstance(manifest.output, Folder):
            models = (
                manifest.output,
                store.base(manifest.output),
            )  # adapters need their base model
            kept.update(store.folder_path(model) for model in models if model)
        else:
            kept.update(store.shard_path(shard) for shard in manifest.output.shards)
    paths = [p for p in (store.root / "objects").glob("*/*") if p not in kept]
    paths += (store.root / "quarantine").glob("*")
    paths += (store.root / "work").glob("*")
    paths += store.root.glob(f"*/{TEMPORARY}*")
    size = sum(_bytes(path) for path in paths)
    for path in paths if not dry_run else []:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(paths), size


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in files if file.is_file() or file.is_symlink())
