"""SQLite files for labels and responses that were paid for: on disk as soon as they arrive.

A row carries a digest of what it says, so that one which was changed afterwards is not believed.
"""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.files import explained


@contextmanager
def ledger(
    path: Path,
    schema: str,
    entries: str,
    upgrade: Callable[[sqlite3.Connection], None] = lambda connection: None,
) -> Iterator[sqlite3.Connection]:
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
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"Cannot use the {entries} in {path}: {error}. {_what_to_do(error, path, entries)}"
        ) from error


def _what_to_do(error: sqlite3.DatabaseError, path: Path, entries: str) -> str:
    code = getattr(error, "sqlite_errorcode", None)
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


def row_digest(*values: object) -> str:
    """Digest of a row's values; also a function in SQL. Numbers count as SQLite keeps them.

    >>> row_digest("a", 1, None) == row_digest("a", 1.0, None) != row_digest("a", "1", None)
    True
    """
    # + 0.0, as SQLite keeps -0.0 as 0.0
    kept = [value + 0.0 if isinstance(value, int | float) else value for value in values]
    return hashlib.sha256(json.dumps(kept, default=repr).encode()).hexdigest()[:16]


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


def _connected(path: Path, for_reading: bool) -> sqlite3.Connection:
    how = "mode=rwc"
    if for_reading:  # SQLite wants to write even then, unless it may take the file for complete
        log = path.with_name(f"{path.name}-wal")
        how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    # one thread at a time uses it, but not always the one that opens it (models.server.asking)
    address = f"{path.absolute().as_uri()}?{how}"
    return sqlite3.connect(
        address, uri=True, timeout=60, check_same_thread=False, isolation_level=None
    )


def _needs_writing(path: Path) -> bool:
    """Whether a killed process left a log that SQLite only reads beside an index that it writes."""
    log, shared = (path.with_name(f"{path.name}-{ending}") for ending in ("wal", "shm"))
    return log.exists() and not shared.exists()


def _copied(path: Path, folder: Path) -> Path:
    """A copy of the file and of its log, in a folder that can be written."""
    for name in (path.name, f"{path.name}-wal"):
        shutil.copy(path.with_name(name), folder / name)
    return folder / path.name


def _in_memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)


def _has_all(connection: sqlite3.Connection, schema: str) -> bool:
    """Whether a file has all tables and views of a schema."""
    there = "SELECT name FROM sqlite_master"
    with closing(_in_memory()) as empty:
        empty.executescript(schema)
        return {*empty.execute(there)} <= {*connection.execute(there)}


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Take the write lock; what the block does is done as a whole, or not at all if it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite may have rolled back itself, as on a full disk
            connection.execute("ROLLBACK")
        raise
