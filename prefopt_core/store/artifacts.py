"""References to stored tables and folders: `Artifact`, `Shard`, `Folder`, `File`, by digest."""

import hashlib
import json
from itertools import accumulate
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

DIGEST = r"^[0-9a-f]{64}$"


class Record(BaseModel):
    """Base class of what is written as JSON: frozen, strict, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Shard(Record):
    """One Parquet file: a part of a table, named by the digest of its bytes."""

    sha256: str = Field(pattern=DIGEST)
    size: int = Field(ge=0, description="bytes")
    rows: int = Field(ge=0)


class Artifact(Record):
    """A table in the store: an ordered list of shards."""

    table: str
    shards: tuple[Shard, ...] = Field(strict=False)

    @property
    def rows(self) -> int:
        """Number of rows over all shards."""
        return sum(shard.rows for shard in self.shards)

    @property
    def digest(self) -> str:
        """Digest of the shards' digests."""
        return sha256_of([shard.sha256 for shard in self.shards])

    @property
    def parts(self) -> int:
        """Number of shards."""
        return len(self.shards)

    def shard(self, number: int) -> "Artifact":
        """The part of the table in one shard."""
        return Artifact(table=self.table, shards=(self.shards[number],))

    def first(self, rows: int) -> "Artifact":
        """Its first shards, with so many rows if it has them: there may be thousands."""
        before = accumulate((shard.rows for shard in self.shards), initial=0)
        kept = (shard for shard, count in zip(self.shards, before, strict=False) if count < rows)
        return Artifact(table=self.table, shards=tuple(kept))


def _below(name: str) -> str:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError("a file of a folder lies in that folder")
    return name


class File(Record):
    """One file of a folder."""

    name: Annotated[str, AfterValidator(_below)] = Field(min_length=1)
    sha256: str = Field(pattern=DIGEST)
    size: int = Field(ge=0, description="bytes")


class Folder(Record):
    """A folder in the store, under one digest: a language model, an adapter, or a search index."""

    files: tuple[File, ...] = Field(strict=False)

    @property
    def digest(self) -> str:
        """Digest of the names and digests of the files."""
        return sha256_of([[file.name, file.sha256] for file in self.files])


def canonical_json(value: Any) -> str:
    """Canonical JSON of a value: equal values give equal texts on every machine.

    >>> canonical_json({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """Digest of a JSON value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
