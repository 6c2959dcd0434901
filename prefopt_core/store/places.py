"""Where things lie on this machine: the store, copies of stores behind URLs, what was paid for."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.store.ledger import Ledger
from prefopt_core.store.postgres import Database, PostgresLedger, database_at
from prefopt_core.store.sqlite_file import SqliteConnection, SqliteLedger

LABELS = "PREFOPT_LABELS"
"""Environment variable that names where labels and responses are kept that were paid for."""


@dataclass(frozen=True)
class Tables:
    """The tables of a ledger.

    Attributes:
        entries: Plural noun for the rows in error messages, such as "labels".
        schema: CREATE TABLE IF NOT EXISTS statements, as SQLite takes them.
        upgrade: Brings an SQLite file of an earlier version up to date.
        indexes: Statements that follow in PostgreSQL, where a key is found by digests alone.
    """

    entries: str
    schema: str
    upgrade: Callable[[SqliteConnection], None] = lambda connection: None
    indexes: str = ""

    def at(self, place: Path | Database) -> Ledger:
        """The ledger with these tables in a folder, `labels.sqlite`, or in a database."""
        if isinstance(place, Database):
            return PostgresLedger(place, self.entries, self.schema, self.indexes)
        path = place / f"{self.entries}.sqlite"
        return SqliteLedger(path, self.schema, self.entries, self.upgrade)


def checked_folder(folder: Path) -> Path:
    """The path of a store's folder, which need not be there.

    Raises:
        StoreError: A file is there.
    """
    folder = folder.expanduser()
    if folder.is_file():
        raise StoreError(
            f"{folder} is a file, and the store is a folder. Point PREFOPT_STORE at one; it is "
            "made if it is not there."
        )
    return folder


def caches() -> Path:
    """The folder below which copies of stores behind URLs lie: `$XDG_CACHE_HOME/prefopt`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "prefopt"


def ledger_place(root: Path, url: str | None) -> Path | Database:
    """Where labels and responses lie that were paid for: at `$PREFOPT_LABELS`, else in the store.

    Args:
        root: Of the store.
        url: Behind which the store lies; None: nowhere else.

    Raises:
        ConfigError: The store lies behind a URL, and the environment names no place; or it names
            a database that is none of PostgreSQL.
    """
    if place := os.environ.get(LABELS):
        return database_at(place) if "://" in place else Path(place).expanduser().resolve()
    if url is None:
        return root
    raise ConfigError(
        f"The store is {url}, and its copy on this machine may be deleted at any time: labels and "
        "responses that are paid for must not lie in it. Name a folder that is kept: "
        "export PREFOPT_LABELS=/a/folder; or a database that machines share: "
        "export PREFOPT_LABELS=postgresql+psycopg://user@host/database"
    )
