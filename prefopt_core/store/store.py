"""The content-addressed store: complete or absent, checked when used, no pickle.

objects/ab/<sha256>.parquet   a shard of a table
objects/ab/<sha256>/          a model folder
manifests/<stage>/<key>.json  what a stage made of which inputs; written last: it is the commit
quarantine/                   objects that were not what their name says
locks/  work/                 one lock per key; unfinished work
labels.sqlite  responses.sqlite   what was paid for
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import explained, file_digest, publish, sync, temporary, write_whole
from prefopt_core.ground.tables import check_table
from prefopt_core.store.artifacts import Artifact, File, Folder, Record, Shard
from prefopt_core.store.folders import BASE, base_of, described, place_of
from prefopt_core.store.locks import locked


class Manifest(Record):
    """What one stage made, of what, and how."""

    format: Literal[1] = 1
    stage: str
    version: int
    key: str
    inputs: dict[str, Any]
    output: Artifact | Folder
    made_with: dict[str, str]  # versions of the libraries whose results can differ
    created: float  # seconds since 1970
    seconds: float
    peak_memory_mb: int


class Store:
    """One folder of objects and manifests; any number of processes may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @staticmethod
    def open() -> "Store":
        """The store at `$PREFOPT_STORE`, by default `data/store` under the current folder."""
        return Store(Path(os.environ.get("PREFOPT_STORE", "data/store")))

    # --- where things are ---------------------------------------------------------------------

    def shard_path(self, shard: Shard) -> Path:
        """The Parquet file of a shard."""
        return self.root / "objects" / shard.sha256[:2] / f"{shard.sha256}.parquet"

    def folder_path(self, model: Folder) -> Path:
        """The folder of a model."""
        return place_of(self.root / "objects", model)

    def base(self, model: Folder) -> Folder | None:
        """The model whose weights an adapter adapts; None for a model with its own."""
        named = any(file.name == BASE for file in model.files)
        return base_of(self.folder_path(model)) if named else None

    def manifest_path(self, stage: str, key: str) -> Path:
        """The manifest of one stage run."""
        return self.root / "manifests" / stage / f"{key}.json"

    def manifests(self, stage: str = "*") -> Iterator[Manifest]:
        """Every readable manifest, newest first."""
        paths = (self.root / "manifests").glob(f"{stage}/*.json")
        for path in sorted(paths, key=_modified, reverse=True):
            if isinstance(manifest := _read_manifest(path), Manifest):
                yield manifest

    def in_use(self, *, alone: bool = False) -> AbstractContextManager[None]:
        """Held by everyone who writes, so that nothing is deleted under them; `alone` to delete."""
        return locked(self.root / "locks" / "store", "the store", shared=not alone)

    # --- looking up ---------------------------------------------------------------------------

    def lookup(self, stage: str, key: str) -> tuple[Manifest | None, str]:
        """Find what `stage` made under `key`: (manifest, "") or (None, why it must be made)."""
        manifest = _read_manifest(self.manifest_path(stage, key))
        if isinstance(manifest, str):
            return None, manifest
        problem = self.check(manifest.output)
        return (None, problem) if problem else (manifest, "")

    def check(self, output: Artifact | Folder) -> str:
        """Compare objects with their digests; quarantine what differs. "" means intact."""
        if isinstance(output, Folder):
            problem, base = self._check_folder(output), self.base(output)
            return problem or (self._check_folder(base) if base else "")
        problems = (self._check_object(self.shard_path(s), {".": s}) for s in output.shards)
        return next(filter(None, problems), "")

    def _check_folder(self, model: Folder) -> str:
        parts = {file.name: file for file in model.files}
        return self._check_object(self.folder_path(model), parts)

    def _check_object(self, path: Path, parts: dict[str, Shard] | dict[str, File]) -> str:
        if not path.exists():
            return f"{path.name[:12]} is gone from the store"
        if all(_is_intact(path / name, part) for name, part in parts.items()):
            return ""
        quarantine = self.root / "quarantine" / f"{path.name}.{time.time_ns()}"
        with explained(self.root), suppress(FileNotFoundError):  # another process was faster
            quarantine.parent.mkdir(parents=True, exist_ok=True)
            path.rename(quarantine)
        return f"{path.name[:12]} was damaged and is now in quarantine/"

    def read(self, artifact: Artifact, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Load a table, or some columns of it."""
        self._must_be_intact(artifact)
        wanted = list(columns) if columns else None
        return pl.concat(
            [pl.read_parquet(self.shard_path(s), columns=wanted) for s in artifact.shards]
        )

    def read_all(self, artifacts: Sequence[Artifact]) -> pl.DataFrame:
        """Several tables below each other; a column that one of them lacks is null there."""
        return pl.concat([self.read(artifact) for artifact in artifacts], how="diagonal")

    def scan(self, artifact: Artifact) -> pl.LazyFrame:
        """A table as a lazy frame, for tables larger than memory."""
        self._must_be_intact(artifact)
        return pl.scan_parquet([self.shard_path(shard) for shard in artifact.shards])

    def open_folder(self, model: Folder) -> Path:
        """The folder of a model, after checking that it is intact."""
        self._must_be_intact(model)
        return self.folder_path(model)

    def _must_be_intact(self, output: Artifact | Folder) -> None:
        if problem := self.check(output):
            raise StoreError(
                f"In the store {self.root}, {problem}. Run the same command again to rebuild it, "
                "or point PREFOPT_STORE at the store that holds it."
            )

    # --- writing ------------------------------------------------------------------------------

    def put_table(self, table: str, frame: pl.DataFrame) -> Shard:
        """Write a shard; it becomes visible whole or not at all."""
        arrow = _to_arrow(check_table(table, frame))
        with explained(self.root), temporary(self.root / "objects") as path:
            pq.write_table(arrow, path, **_encoding(arrow.column_names))
            sync(path)
            sha256, size = file_digest(path)
            shard = Shard(sha256=sha256, size=size, rows=frame.height)
            publish(path, self.shard_path(shard))
        return shard

    def put_folder(self, folder: Path) -> Folder:
        """Move a finished model folder into the store; links in it stay links."""
        with explained(self.root):
            for path in (path for path in folder.rglob("*") if path.is_file()):
                sync(path)
            model = described(folder)
            # Unlike a file, a folder cannot replace one that another stage made meanwhile.
            with locked(self.root / "locks" / f"model-{model.digest[:32]}", "storing a model"):
                if self._check_folder(model):  # not there, or damaged and now out of the way
                    publish(folder, self.folder_path(model))
        return model

    def put_page(self, name: str, text: str) -> Path:
        """Leave a text for people under `runs/`, in place of an earlier one; returns its path."""
        path = self.root / "runs" / name
        with explained(self.root):
            write_whole(path, lambda file: file.write_text(text, encoding="utf-8"), path.parents[1])
        return path

    def put_manifest(self, manifest: Manifest) -> None:
        """Commit: from now on the stage's output is found."""
        with explained(self.root), temporary(self.root / "manifests") as path:
            path.write_text(manifest.model_dump_json(indent=1))
            sync(path)
            publish(path, self.manifest_path(manifest.stage, manifest.key))


def _read_manifest(path: Path) -> Manifest | str:
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return "not made yet"
    except (ValidationError, OSError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    if (manifest.stage, manifest.key) != (path.parent.name, path.stem):
        return "its manifest belongs to another result"
    return manifest


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # forgotten by somebody else since it was listed
        return 0.0


def _is_intact(path: Path, expected: Shard | File) -> bool:
    try:
        return file_digest(path) == (expected.sha256, expected.size)
    except FileNotFoundError:  # one file of a model folder
        return False


def _encoding(columns: Sequence[str]) -> dict[str, Any]:
    """Compress all but vectors: it would save a twelfth of them and make reading 5 times slower."""
    if "vector" not in columns:
        return {"compression": "zstd"}
    return {
        "compression": {name: "none" if name == "vector" else "zstd" for name in columns},
        "use_dictionary": [name for name in columns if name != "vector"],
        "row_group_size": 16_384,
    }


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    """Arrow with plain types, whatever polars uses inside; vectors get their fixed width."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    if "vector" not in frame.columns or frame.is_empty():
        return table
    index, width = table.schema.get_field_index("vector"), len(frame["vector"][0])
    column = table.column(index).cast(pa.binary(width))
    kind = pa.field("vector", column.type, metadata={"element": "float16", "d": str(width // 2)})
    return table.set_column(index, kind, column)
