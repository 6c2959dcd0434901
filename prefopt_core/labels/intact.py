"""Labels that are not what they were when they were written: found, and set aside."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from prefopt_core.ground.foreign import cut
from prefopt_core.labels.schema import ROW, SAID, is_intact, label_id, label_key
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import Connection, transaction


@dataclass(frozen=True)
class Changed:
    """A row of the label store that was changed by something else than prefopt.

    Attributes:
        row: Its values, in the order of the columns; bytes that are no text are replaced.
    """

    row: tuple[Any, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """(annotator, guidelines, prompt_id, responses, said_by), as they stand there."""
        return self.row[0], *label_key(self.row)

    @property
    def id(self) -> str:
        """A short name for it, as errors say it."""
        return label_id(*map(str, self.key[2:]))

    def __str__(self) -> str:
        """In words, for a line."""
        annotator, _, prompt, _, _, by, state, said, *_ = map(str, self.row)
        whose = f"{by or annotator} on prompt {prompt}"
        return f"{self.id}  {cut(whose, 80)}: {cut(f'{state} {said}', 60)}"


def changed_labels(kept: LabelStore) -> tuple[int, list[Changed]]:
    """How many labels there are, and those that were changed since they were written.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    if not kept.ledger.exists():
        return 0, []
    with kept.connected() as connection:
        rows = _rows(connection)
    return len(rows), [Changed(row) for row in rows if not is_intact(row)]


def _rows(connection: Connection) -> list[tuple[Any, ...]]:
    with connection.any_text():
        return connection.execute(f"SELECT {ROW} FROM verdicts ORDER BY bought_at").fetchall()


def intact_labels(kept: LabelStore) -> dict[tuple[str, str], set[tuple[str, ...]]]:
    """(annotator, guidelines) → (prompt_id, responses, said_by) of the labels that are intact.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    found: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    if kept.ledger.exists():
        with kept.connected() as connection:
            rows = _rows(connection)
        for own in (Changed(row).key for row in rows if is_intact(row)):
            found[own[:2]].add(own[2:])
    return found


def set_aside(kept: LabelStore) -> str:
    """Delete the labels that were changed, once there is a copy of all that lies beside them.

    Returns:
        Where the copy is; "" if there were none.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    if not changed_labels(kept)[1]:
        return ""
    with kept.connected() as connection:
        copy = kept.ledger.copied(connection)
        with transaction(connection):
            # Bytes that are no text cannot be passed to a function, nor found again by their key.
            whole = [row for row in _rows(connection) if is_intact(row)]
            connection.execute("DELETE FROM verdicts")
            marks = ", ".join("?" * (len(SAID) + 2))
            connection.executemany(f"INSERT INTO verdicts ({ROW}) VALUES ({marks})", whole)
    return copy
