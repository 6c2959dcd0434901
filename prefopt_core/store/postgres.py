"""A ledger in a PostgreSQL database, for the processes of several machines; by SQLAlchemy Core.

Its tables are those of SQLite, in a schema of their own. As there, one transaction writes at a
time: it begins by updating the ledger's row in `ledgers`, and holds that until it ends.
"""

import hashlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.store.ledger import Connection
from prefopt_core.store.postgres_connection import SCHEMA, PostgresConnection, engine_of

_LAYOUT = 1
"""Version of the tables."""

_REFUSED = re.compile(r"FATAL: (?!.*(system|terminating))|no password")
"""What is said to who may not connect; not by a server that starts, or ends."""

_LEDGERS = """
CREATE TABLE IF NOT EXISTS ledgers (
    name TEXT PRIMARY KEY,
    layout INTEGER NOT NULL,
    writes BIGINT NOT NULL
)
"""

_ADDRESS = re.compile(
    r"postgresql(\+psycopg)?://((?P<user>[^:/@?]*)(:[^@]*)?@)?"
    r"(?P<place>([^:/@?\[\]]*|\[[\da-fA-F:]+\])(:\d+)?(/[^@?]*)?)(\?.*)?"
)


@dataclass(frozen=True)
class Database:
    """A PostgreSQL database.

    Attributes:
        url: With what is secret in it.
    """

    url: str = field(repr=False)

    def __str__(self) -> str:
        """Without what is secret."""
        found = _ADDRESS.fullmatch(self.url)
        assert found
        user = f"{found['user']}@" if found["user"] else ""
        return f"postgresql://{user}{found['place']}"


def database_at(url: str) -> Database:
    """The database of that address.

    Raises:
        ConfigError: It is none of PostgreSQL.
    """
    if not _ADDRESS.fullmatch(url):  # the address may have a password, and is not repeated
        raise ConfigError(
            "PREFOPT_LABELS has `://` in it and is no address of a PostgreSQL database. Write "
            "postgresql+psycopg://user@host/database, with the password in PGPASSWORD or "
            "~/.pgpass; in one that stands in the address, @ is %40."
        )
    return Database(url)


@dataclass(frozen=True)
class PostgresLedger:
    """A ledger in a database, see `Ledger`.

    Attributes:
        database: Where it lies.
        entries: Plural noun for the rows in error messages, such as "labels"; the ledger's name.
        schema: CREATE TABLE IF NOT EXISTS statements, as SQLite takes them.
        indexes: Statements that follow.
    """

    database: Database
    entries: str
    schema: str
    indexes: str

    def __str__(self) -> str:
        return str(self.database)

    def exists(self) -> bool:
        """See `Ledger`: whoever connects makes it."""
        return True

    def require(self) -> None:
        """See `Ledger`."""
        with self.connected():
            pass

    @contextmanager
    def connected(self) -> Iterator["PostgresConnection"]:
        """See `Ledger`."""
        engine = engine_of(self.database.url)
        with self.told(), engine.connect() as core:
            connection = PostgresConnection(core, self.entries)
            if self not in _prepared:
                self._prepare(connection)
                _prepared.add(self)
            yield connection

    @contextmanager
    def locked(
        self, names: Mapping[str, str], *, passing: bool = False
    ) -> Iterator["PostgresConnection"]:
        """See `Ledger`."""
        with self.connected() as connection:
            try:
                for name, purpose in sorted(names.items()):
                    connection.lock(_number(name), purpose)
                yield connection
            finally:
                connection.unlock()

    def is_locked(self, connection: Connection, name: str) -> bool:
        """See `Ledger`."""
        found = connection.execute(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND granted "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
            "AND (CAST(classid AS BIGINT) << 32) | CAST(objid AS BIGINT) = ?",
            (_number(name),),
        )
        return found.fetchone() is not None

    @contextmanager
    def told(self) -> Iterator[None]:
        """See `Ledger`."""
        from sqlalchemy.exc import DBAPIError

        try:
            yield
        except DBAPIError as error:
            said = " ".join(str(error.orig).split()).rstrip(".?")
            raise StoreError(
                f"Cannot use the {self.entries} in {self}: {said}. {self._what_to_do(error.orig)}"
            ) from error

    def _what_to_do(self, error: Any) -> str:
        kept = f"{self.entries.capitalize()} bought so far are kept."
        state = getattr(error, "sqlstate", None)  # there is none of what ends a connection
        if state is None and _REFUSED.search(str(error)):
            return "Look at what PREFOPT_LABELS names, and at PGPASSWORD or ~/.pgpass."
        if state is None or state[:2] in ("08", "57"):
            return f"Once the server answers, run the same command again. {kept}"
        if state == "42501":
            return f"The schema `{SCHEMA}` has to belong to that user, or be granted to it."
        return f"Mend that in the database; then run the same command again. {kept}"

    def copied(self, connection: Connection) -> str:
        """See `Ledger`: a copy of each table, whose name has the time behind it."""
        stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
        for table in re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", self.schema):
            connection.execute(f"CREATE TABLE {table}_{stamp} AS TABLE {table}")
        return f"tables {SCHEMA}.…_{stamp} in {self}"

    def _prepare(self, connection: "PostgresConnection") -> None:
        """Make the tables, unless they are there.

        Raises:
            StoreError: They are of a later version, or could not hold every text.
        """
        layout = self._layout(connection)
        if layout is None:
            connection.execute("BEGIN")
            try:
                connection.execute("SELECT pg_advisory_xact_lock(?)", (_number("tables"),))
                if self._layout(connection) is None:  # no other process was first
                    self._make(connection)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        elif layout > _LAYOUT:
            raise StoreError(
                f"The {self.entries} in {self} are of a later prefopt (layout {layout}, this one "
                f"knows {_LAYOUT}). Install that version here, too."
            )

    def _layout(self, connection: Connection) -> int | None:
        there = connection.execute("SELECT to_regclass(?)", (f"{SCHEMA}.ledgers",)).fetchone()
        if there[0] is None:
            return None
        found = connection.execute("SELECT layout FROM ledgers WHERE name = ?", (self.entries,))
        row = found.fetchone()
        return row[0] if row else None

    def _make(self, connection: Connection) -> None:
        (encoding,) = connection.execute("SHOW server_encoding").fetchone()
        if encoding != "UTF8":
            raise StoreError(
                f"The database {self} keeps texts as {encoding}, which has no signs for some. Make "
                "another one: createdb --encoding UTF8 --template template0 NAME"
            )
        if connection.execute("SELECT to_regnamespace(?)", (SCHEMA,)).fetchone()[0] is None:
            connection.execute(f"CREATE SCHEMA {SCHEMA}")
        statements = [_LEDGERS, *_in_postgres(self.schema), *self.indexes.split(";")]
        for statement in filter(str.strip, statements):
            connection.execute(statement)
        connection.execute("INSERT INTO ledgers VALUES (?, ?, 0)", (self.entries, _LAYOUT))


_prepared: set[PostgresLedger] = set()
"""What this process has found, or made."""


def _number(name: str) -> int:
    """The 64 bits by which PostgreSQL knows a lock."""
    digest = hashlib.sha256(f"{SCHEMA} {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


def _in_postgres(schema: str) -> Iterator[str]:
    """SQLite's CREATE statements as PostgreSQL takes them.

    A key of several columns is unique by their digests, as their texts can be long.
    """
    for statement in re.sub(r"--.*", "", schema).split(";"):
        made = statement.replace("CREATE VIEW IF NOT EXISTS", "CREATE VIEW")
        made = made.replace(" REAL", " DOUBLE PRECISION").replace(" WITHOUT ROWID", "")
        key = re.search(r",\s*PRIMARY KEY \(([^)]*)\)", made)
        yield made.replace(key[0], "") if key else made
        if key:
            table = made.split("(")[0].split()[-1]
            columns = ", ".join(f"md5(CAST({one} AS TEXT))" for one in key[1].split(", "))
            yield f"CREATE UNIQUE INDEX {table}_key ON {table} ({columns})"
