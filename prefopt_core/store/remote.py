"""Named bytes behind a URL: S3, Google Cloud Storage, Azure, or memory, all through obstore.

Only what two machines need to agree: create unless there, replace unless changed (by e-tag), and
what is written is read back at once. Credentials come from the environment alone, as the providers'
own tools name them (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME).
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zlib import crc32

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.ground.extras import import_extra

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "gs", "az", "memory")
"""What a store's URL may begin with; `memory` lasts as long as the process, for tests."""

_PIECE = 2**23
"""Bytes that are asked for at once: a request that fails is repeated, the file is not."""
_PATIENT = {"max_retries": 600, "retry_timeout": timedelta(minutes=10)}
"""Of runs, which are not to end by a server that is away for some minutes."""
_MOST_PARTS = 9_000
"""Parts of an upload; S3 takes 10,000."""


@dataclass(frozen=True)
class Stamp:
    """What a listing says of one object."""

    size: int  # bytes
    modified: float  # seconds since 1970, by the server's clock
    e_tag: str  # another one for every content
    version: str = ""  # what Google compares in place of it

    @property
    def time_ns(self) -> int:
        """The time that a copy gets: whole seconds, as servers say no more, and the e-tag's crc."""
        return int(self.modified) * 10**9 + crc32(self.e_tag.encode()) % 10**9

    def is_of(self, copy: Path) -> bool:
        """Whether a file is a copy of that content, by its size and time."""
        try:
            status = copy.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.size, self.time_ns)


class Remote:
    """A place of named bytes that several machines use at once."""

    def __init__(self, url: str) -> None:
        """Does not connect.

        Args:
            url: `s3://bucket/prefix`, `gs://…`, `az://…`.

        Raises:
            ConfigError: It is not such a URL, or it has credentials in it.
            MissingExtraError: obstore is not installed.
            StoreError: The environment lacks something, such as the account's name.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not (parts.netloc or parts.scheme == "memory"):
            names = ", ".join(f"{scheme}://" for scheme in SCHEMES[:-1])
            raise ConfigError(
                f"{parts.scheme}:// is no place for a store. Give a folder's path, or a URL that "
                f"begins with {names} and names a bucket and a folder in it: s3://bucket/folder."
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                "The store's URL has more than a bucket and a folder. Credentials belong into the "
                "environment (AWS_ACCESS_KEY_ID, …), where no message or record shows them."
            )
        self.url = url.rstrip("/") if parts.netloc else url
        self._obstore = import_extra("obstore", "cloud")
        self._store = self._opened()

    def _opened(self, **options: Any) -> "ObjectStore":
        stores = import_extra("obstore.store", "cloud")
        if self.url.startswith("memory:"):
            return stores.MemoryStore()
        with self._told("opened"):
            return stores.from_url(self.url, **options)

    def listed(self, prefix: str) -> dict[str, Stamp]:
        """Name → stamp of everything whose name begins with a folder's, such as `objects/ab`."""
        with self._told("listed"):
            return {
                meta["path"]: _stamp(meta)
                for batch in self._obstore.list(self._store, prefix=prefix)
                for meta in batch
                if ".." not in meta["path"].split("/")  # what is copied stays below the copy
            }

    def stamp(self, name: str) -> Stamp | None:
        """The stamp of one object; None: there is none."""
        with self._told("read"):
            try:
                return _stamp(self._obstore.head(self._store, name))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> tuple[bytes, Stamp] | None:
        """A small object and its stamp; None: there is none."""
        with self._told("read"):
            try:
                found = self._obstore.get(self._store, name)
                return bytes(found.bytes()), _stamp(found.meta)
            except FileNotFoundError:
                return None

    def pieces(self, name: str, size: int) -> Iterator[bytes]:
        """The bytes of an object of that size, piece by piece; nothing if it is gone."""
        for start in range(0, size, _PIECE):
            with self._told("read"):
                try:
                    end = min(size, start + _PIECE)
                    piece = self._obstore.get_range(self._store, name, start=start, end=end)
                except FileNotFoundError:
                    return
            yield bytes(piece)

    def create(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one of that name; whether it was written."""
        with self._told("written"):
            try:
                self._obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except self._errors.AlreadyExistsError:
                return False
        return True

    def replace(self, name: str, content: bytes, old: Stamp) -> bool:
        """Replace an object unless it has changed since it had this stamp; whether it was."""
        same = {"e_tag": old.e_tag, "version": old.version}
        mode = {name: value for name, value in same.items() if value}  # obstore refuses None
        with self._told("written"):
            try:
                self._obstore.put(self._store, name, content, mode=mode, use_multipart=False)
            except (self._errors.PreconditionError, FileNotFoundError):
                return False
        return True

    def write(self, name: str, source: Path | bytes) -> None:
        """Write an object, whether there is one of that name or not; a large file in parts."""
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        chunk = max(2**23, size // _MOST_PARTS)
        with self._told("written"):
            self._obstore.put(self._store, name, source, chunk_size=chunk, max_concurrency=4)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are gone already do not matter."""
        with self._told("deleted"):
            self._obstore.delete(self._store, list(names))

    def move(self, name: str, to: str) -> None:
        """Give an object another name, if it is still there."""
        with self._told("moved"):
            try:
                self._obstore.rename(self._store, name, to)
            except FileNotFoundError:  # another machine was faster
                return

    def now(self) -> float:
        """Seconds since 1970, by the server's clock."""
        name = f"probe/{uuid.uuid4().hex}"
        self.write(name, b"now")
        stamp = self.stamp(name)
        self.delete([name])
        if stamp is None:
            raise StoreError(f"The server of {self.url} loses what it was given a moment ago.")
        return stamp.modified

    @cache  # noqa: B019, as many objects as URLs
    def try_conditions(self) -> None:
        """See once per process whether the server heeds conditions; others overwrite in silence.

        Raises:
            StoreError: It does not, or cannot be written.
        """
        name = f"probe/{uuid.uuid4().hex}"
        heeds = self.create(name, b"first")
        try:
            kept = self.read(name)
            other = Stamp(6, 0.0, f'"{"0" * 32}"', "1" if kept and kept[1].version else "")
            heeds &= not self.create(name, b"second") and not self.replace(name, b"third", other)
            kept = self.read(name)
        finally:
            self.delete([name])
        if not heeds or not kept or kept[0] != b"first":
            raise StoreError(
                f"The server of {self.url} ignores If-None-Match or If-Match, so two runs could "
                "overwrite each other's results. Use one that heeds them (Amazon S3, Google Cloud "
                "Storage, Azure, SeaweedFS), or a local folder as PREFOPT_STORE."
            )
        if not self.url.startswith("memory:"):  # it is right, and there: from now on, wait for it
            self._store = self._opened(retry_config=_PATIENT)

    @cached_property
    def _errors(self) -> Any:
        return import_extra("obstore.exceptions", "cloud")

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Turn what the server or the network refuse into a StoreError without any secret."""
        try:
            yield
        except (self._errors.BaseError, PermissionError, NotImplementedError) as error:
            reason = _reason(str(error))
            hint = _HINTS.get(reason, "Look at the URL, the network, and its credentials.")
            raise StoreError(
                f"The store {self.url} cannot be {what}: {reason}. {hint} The same command goes "
                "on from what is finished."
            ) from None  # the error's own text has headers and keys in it


_HINTS = {
    "NoSuchBucket": "Make the bucket first, or look at its name.",
    "builder error": "For a server without TLS: export AWS_ALLOW_HTTP=true",
    "Account must be specified": "Set AZURE_STORAGE_ACCOUNT_NAME.",
}


@cache
def remote_at(url: str) -> Remote:
    """The place behind a URL, one object per process, so that it is tried and listed once."""
    return Remote(url)


def _stamp(meta: Any) -> Stamp:
    modified: datetime = meta["last_modified"]
    return Stamp(meta["size"], modified.timestamp(), meta["e_tag"] or "", meta["version"] or "")


def _reason(text: str) -> str:
    """The server's code, its status, or the last clause of an error's first line; no address."""
    line = text.partition("\n")[0]
    for pattern in (r"<Code>(\w{1,60})</Code>", r"status code: (\d{3}(?: [A-Z][\w ]{1,40})?)"):
        if found := re.search(pattern, text):
            return found[1].strip()
    clause = line.rpartition(" - ")[2].rpartition(": ")[2]
    return re.sub(r"https?://\S+", "…", clause).strip(" .")[:100]
