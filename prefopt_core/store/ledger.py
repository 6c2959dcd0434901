"""Ledgers of labels and responses that were paid for: on disk as soon as they arrive.

A ledger is an SQLite file (`store.sqlite_file`), or lies in a PostgreSQL database that several
machines share (`store.postgres`). Its rows carry a digest of what they say, so that one which was
changed afterwards is not believed.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, TypeVar


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows an UPDATE or DELETE changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """To a ledger. Outside `transaction` every statement is a transaction of its own.

    Statements are in the SQL that SQLite and PostgreSQL share; a `?` stands for a value.

    Attributes:
        each: A query for the members of a list of texts, which its `?` gets as JSON.
        key: What stands in an index for the text in a column, whose name is to be filled in.
        length: How long the JSON list in a column is, the same.
    """

    each: str
    key: str
    length: str

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        """Run a statement."""

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> object:
        """Run a statement with the values of each row."""

    def begin(self) -> None:
        """Begin a transaction; no other process writes until it ends."""

    def commit(self) -> None:
        """End it; what it wrote is on disk when this returns."""

    def rollback(self) -> None:
        """End it, if there is one, as if it had not been."""

    def version(self) -> int:
        """A number that changes with every transaction of another connection."""

    def stands(self) -> bool:
        """Whether the ledger is still where it was when this was connected."""

    def any_text(self) -> AbstractContextManager[None]:
        """Within the block, bytes that are no text are read as such, with signs in their place."""


class Ledger(Protocol):
    """Where labels or responses are kept; as text: its file, or its database without a password."""

    def exists(self) -> bool:
        """Whether anything can have been written there."""

    def require(self) -> None:
        """Look whether it answers, where it is not on this machine.

        Raises:
            StoreError: It does not.
        """

    def connected(self) -> AbstractContextManager[Connection]:
        """A connection; tables are made, or brought up to date, if need be.

        Raises:
            StoreError: The ledger cannot be used.
        """

    def locked(
        self, names: Mapping[str, str], *, passing: bool = False
    ) -> AbstractContextManager[Connection]:
        """A connection, and the locks of these names, which end with it or with the process.

        Args:
            names: Name → what the lock is held for, for the message that another is waited for.
            passing: Whether nobody ever waits for them, so that nothing need be left of them.

        Raises:
            StoreError: The ledger cannot be used.
        """

    def is_locked(self, connection: Connection, name: str) -> bool:
        """Whether some process holds the lock of that name."""

    def told(self) -> AbstractContextManager[None]:
        """Turn what the database refuses within the block into an error that says what to do.

        Raises:
            StoreError: The ledger cannot be used.
        """

    def copied(self, connection: Connection) -> str:
        """Where a copy was made of all that it holds."""


_Connection = TypeVar("_Connection", bound=Connection)


@contextmanager
def transaction(connection: _Connection) -> Iterator[_Connection]:
    """Take the write lock; what the block does is done as a whole, or not at all if it raises."""
    connection.begin()
    try:
        yield connection
        connection.commit()
    except BaseException:
        connection.rollback()  # nothing, where the database did so itself, as on a full disk
        raise


def row_digest(*values: object) -> str:
    """Digest of a row's values; also a function in SQL. Numbers count as SQLite keeps them.

    >>> row_digest("a", 1, None) == row_digest("a", 1.0, None) != row_digest("a", "1", None)
    True
    """
    # + 0.0, as SQLite keeps -0.0 as 0.0
    kept = [value + 0.0 if isinstance(value, int | float) else value for value in values]
    return hashlib.sha256(json.dumps(kept, default=repr).encode()).hexdigest()[:16]
