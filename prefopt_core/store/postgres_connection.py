"""A connection to a PostgreSQL database, by SQLAlchemy Core.

Locks are PostgreSQL's advisory ones. They belong to a connection, so that they end with its
process; a connection that had some is not made anew when it is lost, since another process may have
them then. SQLAlchemy is imported here when a database is used: every command would wait for it.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

from prefopt_core.ground.extras import import_extra

if TYPE_CHECKING:
    from sqlalchemy import Connection as CoreConnection
    from sqlalchemy import Engine

log = logging.getLogger(__name__)

SCHEMA = "prefopt"
"""Name of the schema, so that tables of other programs in the same database are not meant."""

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


@cache
def engine_of(url: str) -> "Engine":
    """Connects for each use: what is kept open could be lost meanwhile, or shared by a fork."""
    core = import_extra("sqlalchemy", "postgres")
    import_extra("psycopg", "postgres")
    address = core.make_url(url).set(drivername="postgresql+psycopg")
    engine: Engine = core.create_engine(
        address,
        poolclass=core.NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        use_native_hstore=False,
        connect_args={name: _CONNECT[name] for name in _CONNECT.keys() - address.query.keys()},
    )
    core.event.listen(engine, "connect", _settle)
    return engine


def _settle(connection: Any, record: object) -> None:
    """Set up a new connection."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        for setting in _SETTINGS.items():
            cursor.execute("SELECT set_config(%s, %s, false)", setting)


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
