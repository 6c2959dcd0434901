"""An index of the manifests: one file to read instead of thousands. Never the truth.

A row is believed while its manifest has the same inode, size and modification time; all others are
read again. So an index that is gone, old, damaged, or of another version costs time and nothing
else, and processes may replace each other's. What deletes objects reads the manifests themselves.

index    a line with the format and the digest of the rest, then the table `SCHEMA` as Parquet
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import write_whole
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.manifests import Manifest, read_manifest
from prefopt_core.store.store import Store

FOLDER = "model"
"""What stands for the name of a table in results that are folders."""

_FORMAT = b"prefopt index 1"

_STAMP = {"stage": pl.String, "key": pl.String} | dict.fromkeys(
    ("inode", "file_size", "modified_ns"), pl.Int64
)
SCHEMA = pl.Schema(
    _STAMP
    | {
        "created": pl.Float64,  # seconds since 1970
        "seconds": pl.Float64,
        "table": pl.String,  # or `FOLDER`
        "digest": pl.String,
        "shards": pl.List(pl.String),  # digests
        "rows": pl.Int64,
        "size": pl.Int64,  # bytes
        "output": pl.String,  # JSON
    }
)
"""A row per readable manifest."""

_Output: TypeAdapter[Artifact | Folder] = TypeAdapter(Artifact | Folder)


@dataclass(frozen=True)
class Entry:
    """What the index says of one manifest."""

    stage: str
    key: str
    created: float
    output: Artifact | Folder


def indexed(store: Store) -> pl.DataFrame:
    """The rows of every readable manifest, newest first; brings the index up to date if it can."""
    store.bring_manifests()
    listed = pl.DataFrame(_stamps(store.root / "manifests"), _STAMP, orient="row")
    known = _read(store.root / "index")
    believed = listed.join(known, on=list(_STAMP), how="inner")
    news = listed.join(known, on=list(_STAMP), how="anti")
    read = pl.DataFrame(list(_rows(store, news)), SCHEMA, orient="row")
    rows = pl.concat([believed.select(SCHEMA.names()), read]).sort("created", descending=True)
    if read.height or believed.height < known.height:
        with suppress(StoreError, OSError):  # a store that cannot be written can still be read
            _write(store.root / "index", rows)
    return rows


def entries(rows: pl.DataFrame) -> Iterator[Entry]:
    """Rows of the index as objects."""
    for stage, key, created, output in rows.select("stage", "key", "created", "output").iter_rows():
        yield Entry(stage, key, created, _Output.validate_json(output))


def _stamps(folder: Path) -> Iterator[tuple[Any, ...]]:
    """(stage, key, inode, bytes, nanoseconds) of every file that is named like a manifest."""
    for stage in sorted(path for path in folder.glob("*") if path.is_dir()):
        for file in os.scandir(stage):
            key, ending = os.path.splitext(file.name)
            if ending == ".json":
                with suppress(OSError):  # removed since the folder was listed, or no file
                    status = file.stat()
                    yield stage.name, key, status.st_ino, status.st_size, status.st_mtime_ns


def _rows(store: Store, stamps: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    for stamp in stamps.iter_rows():
        manifest = read_manifest(store.manifest_path(*stamp[:2]))
        if isinstance(manifest, Manifest):
            yield *stamp, manifest.created, manifest.seconds, *_described(manifest.output)


def _described(output: Artifact | Folder) -> tuple[Any, ...]:
    """The columns `table` to `output`."""
    text = output.model_dump_json()
    if isinstance(output, Folder):
        return FOLDER, output.digest, [], 0, sum(file.size for file in output.files), text
    digests, size = [s.sha256 for s in output.shards], sum(s.size for s in output.shards)
    return output.table, output.digest, digests, output.rows, size, text


def _read(path: Path) -> pl.DataFrame:
    with suppress(OSError):
        head, _, body = path.read_bytes().partition(b"\n")
        if head == _head(body):  # so Parquet is only read as it was written
            return pl.read_parquet(io.BytesIO(body))
    return pl.DataFrame(schema=SCHEMA)


def _write(path: Path, rows: pl.DataFrame) -> None:
    body = io.BytesIO()
    rows.write_parquet(body)
    content = _head(body.getvalue()) + b"\n" + body.getvalue()
    write_whole(path, lambda file: file.write_bytes(content), path.parent / "manifests")


def _head(body: bytes) -> bytes:
    return b"%s %s" % (_FORMAT, hashlib.sha256(body).hexdigest().encode())
