"""Labels that are not what they were when they were written: found, and set aside."""

import sqlite3
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefopt_core.ground.foreign import cut
from prefopt_core.labels.schema import SAID, label_id
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import row_digest, transaction


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
        annotator, guidelines, prompt, responses, _, by, *_ = self.row
        return annotator, guidelines, prompt, responses, by

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
    if not kept.path.exists():
        return 0, []
    with kept.connected() as connection:
        rows = _rows(connection)
    return len(rows), [Changed(row) for row in rows if not _is_intact(row)]


def _is_intact(row: tuple[Any, ...]) -> bool:
    return row_digest(*row[:-1]) == row[-1]


def _rows(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    before = connection.text_factory
    connection.text_factory = lambda raw: raw.decode(errors="replace")
    try:
        columns = f"annotator, {', '.join(SAID)}, digest"
        return connection.execute(f"SELECT {columns} FROM verdicts ORDER BY bought_at").fetchall()
    finally:
        connection.text_factory = before


def intact_labels(kept: LabelStore) -> dict[tuple[str, str], set[tuple[str, ...]]]:
    """(annotator, guidelines) → (prompt_id, responses, said_by) of the labels that are intact.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    found: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
    if kept.path.exists():
        with kept.connected() as connection:
            rows = _rows(connection)
        for own in (Changed(row).key for row in rows if _is_intact(row)):
            found[own[:2]].add(own[2:])
    return found


def set_aside(kept: LabelStore) -> Path | None:
    """Delete the labels that were changed, once a copy of the whole file lies beside it.

    Returns:
        The copy; None if there were none.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    if not changed_labels(kept)[1]:
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    copy = kept.root / f"labels-damaged-{stamp}.sqlite"
    with kept.connected() as connection:
        copy.touch(0o600)
        with closing(sqlite3.connect(copy)) as other:
            connection.backup(other)
        with transaction(connection):
            # Bytes that are no text cannot be passed to a function, nor found again by their key.
            rows = _rows(connection)
            whole = [row for row in rows if _is_intact(row)]
            connection.execute("DELETE FROM verdicts")
            marks = ", ".join("?" * (len(SAID) + 2))
            connection.executemany(f"INSERT INTO verdicts VALUES ({marks})", whole)
    return copy
