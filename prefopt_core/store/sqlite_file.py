"""A ledger in an SQLite file with a write-ahead log, for the processes of one machine."""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import explained
from prefopt_core.store.ledger import Connection, row_digest
from prefopt_core.store.locks import is_held, locked


@dataclass(frozen=True)
class SqliteLedger:
    """A ledger in an SQLite file, for the processes of one machine.

    Attributes:
        path: The file; locks lie in the folder `locks` beside it.
        schema: As for `ledger`.
        entries: As for `ledger`.
        upgrade: As for `ledger`.
    """

    path: Path
    schema: str
    entries: str
    upgrade: Callable[["SqliteConnection"], None] = lambda connection: None

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """See `Ledger`."""
        return self.path.exists()

    def require(self) -> None:
        """See `Ledger`."""

    def connected(self) -> "AbstractContextManager[SqliteConnection]":
        """See `Ledger`."""
        return ledger(self.path, self.schema, self.entries, self.upgrade)

    @contextmanager
    def locked(
        self, names: Mapping[str, str], *, passing: bool = False
    ) -> "Iterator[SqliteConnection]":
        """See `Ledger`."""
        with ExitStack() as stack:
            for name, purpose in sorted(names.items()):  # in order: none waits for another's second
                stack.enter_context(locked(self._lock(name), purpose, passing=passing))
            yield stack.enter_context(self.connected())

    def is_locked(self, connection: Connection, name: str) -> bool:
        """See `Ledger`."""
        return is_held(self._lock(name), remove=True)

    def _lock(self, name: str) -> Path:
        return self.path.parent / "locks" / name

    def told(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return refusals_told(self.path, self.entries)

    def copied(self, connection: Connection) -> str:
        """See `Ledger`."""
        assert isinstance(connection, sqlite3.Connection)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        copy = self.path.with_name(f"{self.entries}-damaged-{stamp}.sqlite")
        copy.touch(0o600)
        with closing(sqlite3.connect(copy)) as other:
            connection.backup(other)
        return str(copy)


class SqliteConnection(sqlite3.Connection):
    """See `Connection`."""

    each = "SELECT value FROM json_each(?)"
    key = "{}"
    length = "json_array_length({})"
    file: Path | None = None
    inode = 0

    def begin(self) -> None:
        """See `Connection`."""
        self.execute("BEGIN IMMEDIATE")

    def version(self) -> int:
        """See `Connection`."""
        (version,) = self.execute("PRAGMA data_version").fetchone()
        return int(version)

    def stands(self) -> bool:
        """See `Connection`."""
        return self.file is None or (self.file.exists() and self.file.stat().st_ino == self.inode)

    @contextmanager
    def any_text(self) -> Iterator[None]:
        """See `Connection`."""
        before, self.text_factory = self.text_factory, lambda raw: raw.decode(errors="replace")
        try:
            yield
        finally:
            self.text_factory = before


@contextmanager
def ledger(
    path: Path,
    schema: str,
    entries: str,
    upgrade: Callable[["SqliteConnection"], None] = lambda connection: None,
) -> Iterator[SqliteConnection]:
    """Open an SQLite file with a write-ahead log; every statement is a transaction of its own.

    Only its owner may read it: it has prompts, responses, verdicts and who gave them.

    One in a folder that cannot be written is opened for reading: as it is, or one of an earlier
    version as a copy in memory that is brought up to date.

    Args:
        path: The SQLite file; created if absent, with its folder.
        schema: The CREATE TABLE IF NOT EXISTS statements.
        entries: Plural noun for the rows in error messages, such as "labels".
        upgrade: Called with the connection: brings a file of an earlier version up to date.

    Raises:
        StoreError: The file cannot be written, or is damaged.
    """
    for_reading = path.exists() and not os.access(path.parent, os.W_OK)
    if not for_reading:
        with explained(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        _keep_to_owner(path)
    with refusals_told(path, entries), ExitStack() as stack:
        logged = for_reading and _needs_writing(path)
        file = _copied(path, Path(stack.enter_context(TemporaryDirectory()))) if logged else path
        connection = stack.enter_context(closing(_connected(file, for_reading and not logged)))
        _knows_digests(connection)
        if logged or (for_reading and not _has_all(connection, schema)):
            earlier, connection = connection, stack.enter_context(closing(_in_memory()))
            _knows_digests(connection)
            earlier.backup(connection)
            connection.executescript(schema)
            upgrade(connection)
            connection.execute("PRAGMA query_only = ON")  # what is written here would be lost
        elif not for_reading:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(schema)
            upgrade(connection)
        yield connection


@contextmanager
def refusals_told(path: Path, entries: str) -> Iterator[None]:
    """Turn what SQLite refuses within the block into an error that says what to do.

    Raises:
        StoreError: The file cannot be written, or is damaged.
    """
    try:
        yield
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # a name in it, or its error
        raise StoreError(
            f"Cannot use the {entries} in {path}: {error}. {_what_to_do(error, path, entries)}"
        ) from error


def _what_to_do(error: sqlite3.DatabaseError | UnicodeDecodeError, path: Path, entries: str) -> str:
    broken_text = sqlite3.SQLITE_CORRUPT if isinstance(error, UnicodeDecodeError) else None
    code = getattr(error, "sqlite_errorcode", broken_text)
    if "UTF-8" in str(error) or "user-defined function" in str(error):  # bytes that are no text
        mend = "`prefopt labels verify` shows which, `prefopt labels rebuild` mends it"
        return f"A row is damaged: {mend if entries == 'labels' else 'put back a copy'}."
    is_one = path.is_file() or not os.path.lexists(path)
    if is_one and code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            "Free some space, or make the file writable; then run the same command again. "
            f"{entries.capitalize()} bought so far are kept."
        )
    rebuild = " and type `prefopt labels rebuild`: tables of the store have most of them"
    return (
        f"{'It is damaged' if is_one else 'It is no file'}. Put back a copy, or move it away with "
        f"the files that begin with its name{rebuild if entries == 'labels' else ''}."
    )


def _knows_digests(connection: sqlite3.Connection) -> None:
    connection.create_function("row_digest", -1, row_digest, deterministic=True)


def _keep_to_owner(path: Path) -> None:
    """Create a ledger for its owner alone, or take it from others; SQLite's own files follow it."""
    with suppress(OSError):  # it is there, or SQLite says better what is wrong
        # Never opened beside SQLite: closing it again would drop this process's locks on it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for end in ("", "-wal", "-shm"):
        file = path.with_name(path.name + end)
        with suppress(OSError):  # not there, or not ours
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def _connected(path: Path, for_reading: bool) -> SqliteConnection:
    how = "mode=rwc"
    if for_reading:  # SQLite wants to write even then, unless it may take the file for complete
        log = path.with_name(f"{path.name}-wal")
        how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    # one thread at a time uses it, but not always the one that opens it (models.server.asking)
    address = f"{path.absolute().as_uri()}?{how}"
    connection = _sqlite(address)
    connection.file, connection.inode = path, path.stat().st_ino
    return connection


def _needs_writing(path: Path) -> bool:
    """Whether a killed process left a log that SQLite only reads beside an index that it writes."""
    log, shared = (path.with_name(f"{path.name}-{ending}") for ending in ("wal", "shm"))
    return log.exists() and not shared.exists()


def _copied(path: Path, folder: Path) -> Path:
    """A copy of the file and of its log, in a folder that can be written."""
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), folder / name)
    return folder / path.name


def _in_memory() -> SqliteConnection:
    return _sqlite(":memory:")


def _sqlite(address: str) -> SqliteConnection:
    return sqlite3.connect(
        address,
        uri=True,
        timeout=60,
        check_same_thread=False,
        isolation_level=None,
        factory=SqliteConnection,
    )


def _has_all(connection: sqlite3.Connection, schema: str) -> bool:
    """Whether a file has all tables and views of a schema."""
    there = "SELECT name FROM sqlite_master"
    with closing(_in_memory()) as empty:
        empty.executescript(schema)
        return {*empty.execute(there)} <= {*connection.execute(there)}
