"""Maintenance of the store: list, find, verify, remove, and collect garbage."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import TEMPORARY
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.store import Manifest, Store


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
    by_stage: dict[str, list[Manifest]] = {}
    for manifest in store.manifests():
        by_stage.setdefault(manifest.stage, []).append(manifest)
    return [
        Holding(
            stage,
            len(manifests),
            sum(m.output.rows for m in manifests if isinstance(m.output, Artifact)),
            sum(size_of(m.output) for m in manifests),
            sum(m.seconds for m in manifests),
        )
        for stage, manifests in sorted(by_stage.items())
    ]


def size_of(output: Artifact | Folder) -> int:
    """Bytes of an artifact's or folder's files."""
    return sum(p.size for p in (output.files if isinstance(output, Folder) else output.shards))


def find(store: Store, name: str) -> list[Manifest]:
    """Manifests by table, by stage, or by the start of a cache key or digest; newest first.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    manifests = sorted(store.manifests(), key=lambda m: m.created, reverse=True)
    for found in (
        [m for m in manifests if name == table_of(m)],
        [m for m in manifests if name == m.stage],
        [m for m in manifests if any(digest.startswith(name) for digest in _digests(m))],
    ):
        if found:
            return found
    known = sorted({n for m in manifests for n in (table_of(m), m.stage)})
    raise StoreError(
        f"The store {store.root} holds nothing named {name!r}.{did_you_mean(name, known)} "
        "The start of a digest works too; `prefopt cache ls` shows what there is."
    )


def table_of(manifest: Manifest) -> str:
    """Name of the table of a manifest's output, or `model` for a folder."""
    return manifest.output.table if isinstance(manifest.output, Artifact) else "model"


def _digests(manifest: Manifest) -> list[str]:
    shards = manifest.output.shards if isinstance(manifest.output, Artifact) else ()
    return [manifest.key, manifest.output.digest, *(shard.sha256 for shard in shards)]


def verify(store: Store) -> Iterator[tuple[Manifest, str]]:
    """Compare every object with its digest; yields (manifest, problem), "" for intact."""
    for manifest in store.manifests():
        yield manifest, store.check(manifest.output)


def remove(store: Store, name: str) -> list[Manifest]:
    """Delete the manifests that `find` finds; `collect_garbage` frees their objects.

    Labels are never touched.

    Raises:
        StoreError: Nothing in the store has that name.
    """
    manifests = [m for m in store.manifests() if name == m.stage] or find(store, name)
    for manifest in manifests:
        store.manifest_path(manifest.stage, manifest.key).unlink(missing_ok=True)
    return manifests


def collect_garbage(store: Store, *, dry_run: bool = False) -> tuple[int, int]:
    """Delete objects, quarantined files and unfinished work that nothing refers to.

    Labels and the manifests stay. Waits for running stages, whose objects have no manifest yet.

    Returns:
        (files and folders deleted, bytes).
    """
    with store.in_use(alone=True):
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
