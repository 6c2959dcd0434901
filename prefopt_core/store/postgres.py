"""A ledger in a PostgreSQL database, for the processes of several machines; by SQLAlchemy Core.

Its tables are those of SQLite, in a schema of their own. As there, one transaction writes at a
time: it begins by updating the ledger's row in `ledgers`, and holds that until it ends. Locks are
PostgreSQL's advisory ones. They belong to a connection, so that they end with its process; a
connection that had some is not made anew when it is lost, since another process may have them then.

SQLAlchemy is imported when a database is used: it would make every command on SQLite slower.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.errors import ConfigError, StoreError
from prefopt_core.ground.extras import import_extra
from prefopt_core.store.ledger import Connection

if TYPE_CHECKING:
    from sqlalchemy import Connection as CoreConnection
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

SCHEMA = "prefopt"
"""Name of the schema, so that tables of other programs in the same database are not meant."""

_LAYOUT = 1
"""Version of the tables."""

_WAIT_S = 0.2

_NUL, _NO_NUL = "\0", "\U0010ffff"
"""PostgreSQL's texts have no NUL, and models can write one; nobody writes the other: it is none."""

_SETTINGS = {
    "search_path": SCHEMA,
    # A machine that is gone without a word loses its locks after two minutes.
    "tcp_keepalives_idle": "60",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
    # Nobody waits longer for a process that was stopped in the middle of a transaction.
    "idle_in_transaction_session_timeout": "10min",
}
_CONNECT: dict[str, object] = {
    "application_name": "prefopt",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 5,
    "tcp_user_timeout": 60_000,
}
_LEDGERS = """
CREATE TABLE IF NOT EXISTS ledgers (
    name TEXT PRIMARY KEY,
    layout INTEGER NOT NULL,
    writes BIGINT NOT NULL
)
"""

_ADDRESS = re.compile(
    r"postgresql(\+psycopg)?://((?P<user>[^:/@?]*)(:[^@]*)?@)?(?P<place>[^@?]*)(\?.*)?"
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
        engine = _engine(self.database.url)
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
        state = getattr(error, "sqlstate", None) or "08"  # none: there was no server to say one
        if state[:2] in ("08", "57"):
            return f"Once the server answers, run the same command again. {kept}"
        if state[:2] == "28":
            return "Look at the user in PREFOPT_LABELS, and at PGPASSWORD or ~/.pgpass."
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


class PostgresConnection:
    """See `Connection`."""

    each = "SELECT json_array_elements_text(CAST(? AS JSON))"
    key = "md5({})"  # an entry of an index has room for 2,700 bytes
    length = "json_array_length(CAST({} AS JSON))"

    def __init__(self, core: "CoreConnection", ledger: str) -> None:
        self._core, self._ledger = core, ledger
        self._own = 0
        self._locks = False
        self._lost: Exception | None = None

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> "PostgresRows":
        """See `Connection`."""
        return self._run(statement, tuple(map(_kept, values)))

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> None:
        """See `Connection`."""
        if values := [tuple(map(_kept, row)) for row in rows]:
            self._run(statement, values)

    def _run(self, statement: str, values: Any) -> "PostgresRows":
        from sqlalchemy.exc import DBAPIError

        if self._lost:
            raise self._lost
        try:
            result = self._core.exec_driver_sql(statement.replace("?", "%s"), values)
            rows = result.all() if result.returns_rows else ()
            return PostgresRows(rows, result.rowcount)
        except DBAPIError as error:
            if error.connection_invalidated and self._locks:
                self._lost = error
            elif error.connection_invalidated:
                self._core.rollback()  # the next statement connects anew
            raise

    def begin(self) -> None:
        """See `Connection`."""
        self.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        self.execute("UPDATE ledgers SET writes = writes + 1 WHERE name = ?", (self._ledger,))

    def commit(self) -> None:
        """See `Connection`."""
        self.execute("COMMIT")
        self._own += 1

    def rollback(self) -> None:
        """See `Connection`."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):  # a connection that is lost has none any more
            self.execute("ROLLBACK")

    def version(self) -> int:
        """See `Connection`."""
        found = self.execute("SELECT writes FROM ledgers WHERE name = ?", (self._ledger,))
        return int(found.fetchone()[0]) - self._own

    def stands(self) -> bool:
        """See `Connection`: where it lies is the server's business."""
        return True

    def any_text(self) -> AbstractContextManager[None]:
        """See `Connection`: there are no such bytes."""
        return nullcontext()

    def lock(self, number: int, purpose: str) -> None:
        """Take a lock, which ends with this connection."""
        self._locks, told = True, False
        while not self.execute("SELECT pg_try_advisory_lock(?)", (number,)).fetchone()[0]:
            if not told:
                log.warning("%s: another process is at it; waiting for it to finish", purpose)
                told = True
            time.sleep(_WAIT_S)

    def unlock(self) -> None:
        """Give back all locks."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):  # they went with the connection
            self.execute("SELECT pg_advisory_unlock_all()")
        self._locks = False


class PostgresRows:
    """See `Rows`."""

    def __init__(self, rows: Iterable[Sequence[Any]], rowcount: int) -> None:
        self._rows = (tuple(map(_given, row)) for row in rows)
        self.rowcount = rowcount

    def fetchone(self) -> Any:
        """See `Rows`."""
        return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        """See `Rows`."""
        return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


def _kept(value: Any) -> Any:
    return value.replace(_NUL, _NO_NUL) if isinstance(value, str) else value


def _given(value: Any) -> Any:
    return value.replace(_NO_NUL, _NUL) if isinstance(value, str) else value


def _number(name: str) -> int:
    """The 64 bits by which PostgreSQL knows a lock."""
    digest = hashlib.sha256(f"{SCHEMA} {name}".encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


@cache
def _engine(url: str) -> "Engine":
    """Connects for each use: what is kept open could be lost meanwhile, or shared by a fork."""
    core = import_extra("sqlalchemy", "postgres")
    import_extra("psycopg", "postgres")
    engine: Engine = core.create_engine(
        core.make_url(url).set(drivername="postgresql+psycopg"),
        poolclass=core.NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        use_native_hstore=False,
        connect_args=_CONNECT,
    )
    core.event.listen(engine, "connect", _settle)
    return engine


def _settle(connection: Any, record: object) -> None:
    """Set up a new connection."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        for setting in _SETTINGS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", setting)


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
