"""The store, wherever it is: in a local folder, or behind a URL, of which a folder is the copy.

What is behind a URL is shared by machines. Each result is committed by creating its manifest there,
last; whoever comes second takes what is there. See `store.local` for what a folder holds,
`store.mirror` for how it is a copy.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.store.artifacts import Artifact, Folder, Shard
from prefopt_core.store.folders import ADAPTER_BASE, base_in
from prefopt_core.store.intact import Parts
from prefopt_core.store.leases import leased, machine
from prefopt_core.store.local import LocalStore
from prefopt_core.store.manifests import Manifest, read_manifest
from prefopt_core.store.mirror import Mirror, mirror_of
from prefopt_core.store.places import caches, checked_folder, ledger_place
from prefopt_core.store.postgres import Database

STORE = "PREFOPT_STORE"
"""Environment variable that names the store."""


class Store(LocalStore):
    """Objects and manifests; any number of processes, and behind a URL machines, use it at once."""

    def __init__(self, root: Path, mirror: Mirror | None = None) -> None:
        super().__init__(root)
        self.mirror = mirror

    @staticmethod
    def open() -> "Store":
        """The store at `$PREFOPT_STORE`, by default `data/store` under the current folder.

        Raises:
            ConfigError: It is a URL that is none of a store.
            StoreError: A file is there.
        """
        return Store.at(os.environ.get(STORE) or "data/store")

    @staticmethod
    def at(address: str | Path) -> "Store":
        """The store in a folder, or behind a URL such as `s3://bucket/folder`.

        Raises:
            ConfigError: It is a URL that is none of a store.
            StoreError: A file is there.
        """
        if "://" in str(address):
            mirror = mirror_of(str(address), caches())
            return Store(mirror.root, mirror)
        return Store(checked_folder(Path(address)))

    def __str__(self) -> str:
        """What `Store.at` takes: its folder, or its URL."""
        return self.mirror.remote.url if self.mirror else str(self.root)

    @property
    def ledgers(self) -> Path | Database:
        """The folder, or the database, of labels and responses that were paid for.

        Raises:
            ConfigError: The store is behind a URL, and `$PREFOPT_LABELS` names neither.
        """
        return ledger_place(self.root, None if self.mirror is None else str(self))

    # --- what a store behind a URL does besides -----------------------------------------------

    def place(self, folder: Folder) -> str:
        """Where a folder lies: here, or behind the URL if nobody has read it here."""
        path = self.folder_path(folder)
        if path.is_dir() or not self.mirror:
            return str(path)
        return f"{self}/{path.relative_to(self.root).as_posix()}"

    def base(self, folder: Folder) -> Folder | None:
        """The base model of a LoRA adapter; None for a model with whole weights.

        Raises:
            StoreError: The file that names the base model is damaged.
        """
        path = self.folder_path(folder) / ADAPTER_BASE
        named = any(file.name == ADAPTER_BASE for file in folder.files)
        if self.mirror and named and not path.is_file():
            there = self.mirror.read(path)
            return base_in(there, path) if there else None
        return super().base(folder)

    def manifests(self, stage: str = "*") -> Iterator[Manifest]:
        """Every readable manifest, newest first."""
        self.bring_manifests(stage)
        yield from super().manifests(stage)

    def bring_manifests(self, stage: str = "*") -> None:
        """Bring copies of manifests up to date."""
        if self.mirror:
            self.mirror.bring_all("manifests" if stage == "*" else f"manifests/{stage}")

    def page(self, name: str) -> Path:
        """The path of a page or record, `runs/NAME`, whether it is there or not."""
        if self.mirror:
            self.mirror.bring(super().page(name), listed=False)
        return super().page(name)

    def pages(self, name: str) -> list[Path]:
        """The paths of all pages or records of that name, of any run."""
        if self.mirror:
            self.mirror.bring_all("runs", f"/{name}")
        return super().pages(name)

    def in_use(self, *, alone: bool = False) -> AbstractContextManager[None]:
        """The store's lock on this machine: shared for writing, exclusive (`alone`) for deleting.

        Between machines there is none: what is deleted behind a URL goes by its age.
        """
        if self.mirror:
            self.mirror.remote.try_conditions()
        return super().in_use(alone=alone)

    @contextmanager
    def claimed(self, stage: str, key: str) -> Iterator[None]:
        """Within the block, no other process, here or elsewhere, computes that result."""
        with super().claimed(stage, key):
            if not self.mirror:
                yield
                return
            name, owner = f"{stage}-{key[:32]}", machine(self.root)
            with leased(self.mirror.remote, name, owner, stage):
                yield

    def lookup(self, stage: str, key: str, parts: int = 1) -> tuple[Manifest | None, str]:
        """Look up a cache key, see `LocalStore.lookup`."""
        if self.mirror:
            self.mirror.bring(self.manifest_path(stage, key))
        return super().lookup(stage, key, parts)

    def problem(self, path: Path, parts: Parts, *, by_size: bool = False) -> str:
        """What is wrong with one object, or "".

        Of one that is not here its size alone is looked at: whoever reads it, fetches it.
        """
        problem = super().problem(path, parts, by_size=by_size)
        return self.mirror.problem(path, parts) if problem and self.mirror else problem

    def _must_be_intact(self, output: Artifact | Folder) -> None:
        if self.mirror:
            objects = list(self.objects(output))
            problems = self.mirror.fetch([o for o in objects if super(Store, self).problem(*o)])
            for problem in filter(None, problems):
                raise StoreError(
                    f"In the store {self}, {problem}. Run the same command again to rebuild it."
                )
        super()._must_be_intact(output)

    def put_table(self, table: str, frame: pl.DataFrame) -> Shard:
        """Write a shard, see `LocalStore.put_table`."""
        shard = super().put_table(table, frame)
        if self.mirror:
            self.mirror.publish(self.shard_path(shard), {".": shard})
        return shard

    def put_folder(self, folder: Path) -> Folder:
        """Move a finished folder into the store, see `LocalStore.put_folder`."""
        made = super().put_folder(folder)
        if self.mirror:
            self.mirror.publish(*next(self.objects(made)))
        return made

    def put_page(self, name: str, text: str) -> Path:
        """Write a page or a record, see `LocalStore.put_page`."""
        if self.mirror:
            self.mirror.write(super().page(name), text.encode())
        return super().put_page(name, text)

    def remove_page(self, name: str) -> None:
        """Remove a page or record."""
        if self.mirror:
            self.mirror.forget([super().page(name)])
        super().remove_page(name)

    def put_manifest(self, manifest: Manifest, *, refresh: bool = False) -> Manifest:
        """Commit a stage run, see `LocalStore.put_manifest`."""
        if not self.mirror:
            return super().put_manifest(manifest)
        path = self.manifest_path(manifest.stage, manifest.key)
        content = manifest.model_dump_json(indent=1).encode()
        self.mirror.commit(path, content, self.stands, replace=refresh)
        self.mirror.copy(path)
        standing = read_manifest(path)
        return standing if isinstance(standing, Manifest) else manifest

    def stands(self, content: bytes) -> bool:
        """Whether all is behind the URL that a manifest there names."""
        assert self.mirror
        try:
            output = Manifest.model_validate_json(content).output
        except ValidationError:
            return False
        return not any(self.mirror.problem(*each) for each in self.objects(output))

    def compare(self, path: Path, parts: Parts) -> str:
        """Compare all of an object with its digests, wherever it is; the problem, or ""."""
        return self.mirror.digests(path, parts) if self.mirror else super().problem(path, parts)

    def forget(self, stage: str, key: str) -> None:
        """Remove a manifest; `maintenance.collect_garbage` frees what it named."""
        if self.mirror:
            self.mirror.forget([self.manifest_path(stage, key)])
        super().forget(stage, key)
