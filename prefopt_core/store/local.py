"""The store in a local folder: atomic writes, digests checked on reading, no pickle.

objects/ab/<sha256>.parquet   a shard of a table
objects/ab/<sha256>/          a folder: a model, an adapter, a search index
manifests/<stage>/<key>.json  inputs and output of one stage run; written last: it is the commit
quarantine/                   damaged objects, whose bytes do not match their digests
locks/  work/                 a lock per stage that runs; checkpoints and other unfinished work
index                         a copy of what manifests say, see `store.index`
labels.sqlite                 labels that were paid for
responses.sqlite              responses bought from model servers
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import polars as pl

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import explained, file_digest, publish, sync, temporary, write_whole
from prefopt_core.ground.tables import check_table
from prefopt_core.store.artifacts import Artifact, Folder, Shard
from prefopt_core.store.folders import ADAPTER_BASE, base_of, described, place_of
from prefopt_core.store.intact import Parts, is_file, problem_of, put_away
from prefopt_core.store.locks import locked
from prefopt_core.store.manifests import Manifest, read_manifest
from prefopt_core.store.parquet import write_parquet

MANY = 1000
"""Shards of a table that are read to look it up; to read many thousand takes minutes."""


class LocalStore:
    """One folder of objects and manifests; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.quarantine = self.root / "quarantine"

    def __str__(self) -> str:
        return str(self.root)

    # --- where things are ---------------------------------------------------------------------

    def shard_path(self, shard: Shard) -> Path:
        """The Parquet file of a shard."""
        return self.root / f"objects/{shard.sha256[:2]}/{shard.sha256}.parquet"

    def folder_path(self, folder: Folder) -> Path:
        """The path of a stored folder."""
        return place_of(self.root / "objects", folder)

    def base(self, folder: Folder) -> Folder | None:
        """The base model of a LoRA adapter; None for a model with whole weights.

        Raises:
            StoreError: The file that names the base model is damaged.
        """
        named = any(file.name == ADAPTER_BASE for file in folder.files)
        return base_of(self.folder_path(folder)) if named else None

    def objects(self, output: Artifact | Folder) -> Iterator[tuple[Path, Parts]]:
        """Path and files of each object of a result; of an adapter its base model's, too."""
        if isinstance(output, Artifact):
            for shard in output.shards:
                yield self.shard_path(shard), {".": shard}
            return
        yield self.folder_path(output), {file.name: file for file in output.files}
        if base := self.base(output):
            yield self.folder_path(base), {file.name: file for file in base.files}

    def manifest_path(self, stage: str, key: str) -> Path:
        """The manifest of one stage run."""
        return self.root / f"manifests/{stage}/{key}.json"

    def manifests(self, stage: str = "*") -> Iterator[Manifest]:
        """Every readable manifest, newest first."""
        paths = (self.root / "manifests").glob(f"{stage}/*.json")
        for path in sorted(paths, key=_modified, reverse=True):
            if isinstance(manifest := read_manifest(path), Manifest):
                yield manifest

    def page(self, name: str) -> Path:
        """The path of a page or record, `runs/NAME`, whether it is there or not."""
        return self.root / "runs" / name

    def pages(self, name: str) -> list[Path]:
        """The paths of all pages or records of that name, of any run."""
        return list((self.root / "runs").glob(f"*/{name}"))

    def in_use(self, *, alone: bool = False) -> AbstractContextManager[None]:
        """The store's lock: shared for stages that write, exclusive (`alone`) for deleting."""
        return locked(self.root / "locks" / "store", "the store", shared=not alone)

    def claimed(self, stage: str, key: str) -> AbstractContextManager[None]:
        """Within the block, no other process computes that result."""
        return locked(self.root / "locks" / f"{stage}-{key[:32]}", stage, passing=True)

    # --- looking up ---------------------------------------------------------------------------

    def lookup(self, stage: str, key: str, parts: int = 1) -> tuple[Manifest | None, str]:
        """Look up a cache key: (manifest, "") for a hit, (None, reason) for a miss.

        Args:
            stage: Name of the stage.
            key: The key.
            parts: In how many parts the stage is looked up. Of a table of more than `MANY` shards
                only the sizes are compared: whoever reads a shard compares the digest.
        """
        path = self.manifest_path(stage, key)
        manifest = read_manifest(path)
        if isinstance(manifest, Manifest):
            shards = len(manifest.output.shards) if isinstance(manifest.output, Artifact) else 1
            problem = self.check(manifest.output, by_size=parts * shards > MANY)
            return (None, problem) if problem else (manifest, "")
        if os.path.lexists(path) and not is_file(path):  # nothing could be written there
            return None, f"{manifest} and {put_away(path, self.quarantine)}"
        return None, manifest

    def check(self, output: Artifact | Folder, *, by_size: bool = False) -> str:
        """Compare objects with their digests, quarantine damaged ones; the problem, or ""."""
        objects = self.objects(output)
        return next(filter(None, (self.problem(*each, by_size=by_size) for each in objects)), "")

    def problem(self, path: Path, parts: Parts, *, by_size: bool = False) -> str:
        """What is wrong with one object, or ""."""
        return problem_of(path, parts, self.quarantine, by_size=by_size)

    def read(self, artifact: Artifact, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Load a table, or some columns of it.

        Raises:
            StoreError: Part of it is missing or damaged.
        """
        self._must_be_intact(artifact)
        wanted = list(columns) if columns else None
        paths = [self.shard_path(shard) for shard in artifact.shards]
        return pl.read_parquet(paths, columns=wanted, glob=False)

    def read_all(self, artifacts: Sequence[Artifact]) -> pl.DataFrame:
        """Concatenate tables; a column that one of them lacks is null in its rows.

        Raises:
            StoreError: Part of one is missing or damaged.
        """
        return pl.concat([self.read(artifact) for artifact in artifacts], how="diagonal")

    def scan(self, artifact: Artifact) -> pl.LazyFrame:
        """A table as a lazy frame, for tables larger than memory.

        Raises:
            StoreError: Part of it is missing or damaged.
        """
        self._must_be_intact(artifact)
        return pl.scan_parquet([self.shard_path(s) for s in artifact.shards], glob=False)

    def open_folder(self, folder: Folder) -> Path:
        """The path of a stored folder, after checking its digests.

        Raises:
            StoreError: A file of it is missing or damaged.
        """
        self._must_be_intact(folder)
        return self.folder_path(folder)

    def _must_be_intact(self, output: Artifact | Folder) -> None:
        if problem := self.check(output):
            raise StoreError(
                f"In the store {self}, {problem}. Run the same command again to rebuild it, "
                "or point PREFOPT_STORE at the store that holds it."
            )

    # --- writing ------------------------------------------------------------------------------

    def put_table(self, table: str, frame: pl.DataFrame) -> Shard:
        """Write a shard, atomically.

        Args:
            table: A key of `ground.tables.TABLES`.
            frame: Rows of that table.

        Raises:
            DataError: The frame breaks the table's contract.
            StoreError: The operating system refuses to write.
        """
        checked = check_table(table, frame)
        with explained(self.root), temporary(self.root / "objects") as path:
            write_parquet(checked, path)
            sync(path)
            sha256, size = file_digest(path)
            shard = Shard(sha256=sha256, size=size, rows=frame.height)
            target = self.shard_path(shard)
            if target.is_dir():  # which no file can replace
                put_away(target, self.quarantine)
            publish(path, target)
        return shard

    def put_folder(self, folder: Path) -> Folder:
        """Move a finished folder into the store; symbolic links in it stay links.

        Raises:
            StoreError: The operating system refuses to write.
        """
        with explained(self.root):
            for path in (path for path in folder.rglob("*") if path.is_file()):
                sync(path)
            made = described(folder)
            # os.replace cannot replace a folder that is not empty, as it does a file.
            lock = self.root / "locks" / f"model-{made.digest[:32]}"
            with locked(lock, "storing a folder", passing=True):
                path, parts = next(self.objects(made))
                if problem_of(path, parts, self.quarantine):  # so it is out of the way
                    publish(folder, path)
        return made

    def put_page(self, name: str, text: str) -> Path:
        """Write a report page or other text to `runs/NAME`, replacing it; returns its path.

        Raises:
            StoreError: The operating system refuses to write.
        """
        path = self.root / "runs" / name
        content = text.encode()
        if path.is_file() and path.read_bytes() == content:
            return path
        with explained(self.root):
            if path.is_dir() and not path.is_symlink():  # which no file can replace
                put_away(path, self.quarantine)
            write_whole(path, lambda file: file.write_bytes(content), self.root / "runs")
        return path

    def remove_page(self, name: str) -> None:
        """Remove a page or record."""
        (self.root / "runs" / name).unlink(missing_ok=True)

    def put_manifest(self, manifest: Manifest, *, refresh: bool = False) -> Manifest:
        """Commit a stage run: from now on `lookup` finds its output.

        Args:
            manifest: What was made.
            refresh: Whether it is to replace what another machine has made.

        Returns:
            What stands: `manifest`, or that of another machine which was first.

        Raises:
            StoreError: The operating system refuses to write.
        """
        with explained(self.root), temporary(self.root / "manifests") as path:
            path.write_text(manifest.model_dump_json(indent=1))
            sync(path)
            publish(path, self.manifest_path(manifest.stage, manifest.key))
        return manifest

    def forget(self, stage: str, key: str) -> None:
        """Remove a manifest; `maintenance.collect_garbage` frees what it named."""
        self.manifest_path(stage, key).unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # deleted by another process since it was listed, or no file
        return 0.0
