"""The label store: every label is on disk as soon as it arrives, and none is bought twice.

A label is one verdict of one annotator under one version of the guidelines: a score of one
response, or a comparison of several. It belongs to no run: all runs that ask for the same verdict
share it.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.store.artifacts import canonical_json, sha256_of
from prefopt_core.store.ledger import ledger
from prefopt_core.store.locks import locked
from prefopt_core.store.store import Store

_SCHEMA = """
CREATE TABLE IF NOT EXISTS labels (
    annotator TEXT NOT NULL,   -- name and settings, canonical JSON
    guidelines TEXT NOT NULL,  -- version of what the annotator was told
    prompt_id TEXT NOT NULL,
    responses TEXT NOT NULL,   -- canonical JSON list of candidate ids, in the order shown
    score REAL,                -- NULL: the annotator gave no verdict
    bought_at REAL NOT NULL,   -- seconds since 1970
    PRIMARY KEY (annotator, guidelines, prompt_id, responses)
) WITHOUT ROWID
"""


@dataclass(frozen=True)
class AnnotatorIdentity:
    """What identifies an annotator: labels of equal identities are interchangeable.

    Attributes:
        name: Registry name and settings by their content, canonical JSON; under it labels are kept.
        guidelines: Version of the instructions to the annotator.
        called: The name that the user gave the annotator: all labels of that name are its labels.
        earlier: What `name` was in earlier versions, or before the annotator got its name.
    """

    name: str
    guidelines: str
    called: str | None = None
    earlier: tuple[str, ...] = ()


class LabelStore:
    """The bought labels of one store (`labels.sqlite`), in SQLite with a write-ahead log."""

    @classmethod
    def of(cls, store: Store) -> "LabelStore":
        """The label store of an artifact store; `store.opening` passes it to stages."""
        return cls(store.root)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "labels.sqlite"

    def _connection(self) -> AbstractContextManager[sqlite3.Connection]:
        return ledger(self.path, _SCHEMA, "labels")

    @contextmanager
    def buying(self, annotator: AnnotatorIdentity) -> Iterator["Purchase"]:
        """Lock the labels of one annotator for buying; another process waits, then finds them.

        Without the lock two runs could pay for the same verdict at the same time.

        Raises:
            StoreError: The SQLite file cannot be written, or is damaged.
        """
        who = sha256_of([annotator.called or annotator.name, annotator.guidelines])
        lock = self.root / "locks" / f"labels-{who[:32]}"
        with locked(lock, f"labels of {annotator.name}"), self._connection() as connection:
            purchase = Purchase(connection, annotator)
            purchase.claim()
            yield purchase

    def known(
        self, annotator: AnnotatorIdentity
    ) -> dict[tuple[str, tuple[str, ...]], float | None]:
        """(prompt_id, candidate ids) → score of every label bought from `annotator`.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.path.exists():
            return {}
        with self._connection() as connection:
            return Purchase(connection, annotator).known()

    def sources(self, annotator: AnnotatorIdentity) -> list[tuple[str, int, float]]:
        """(text, number, newest) of the texts by which labels that count as this annotator's lie.

        `newest` is when the last of them was bought, in seconds since 1970.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.path.exists():
            return []
        with self._connection() as connection:
            texts = Purchase(connection, annotator).texts()
            rows = connection.execute(
                "SELECT annotator, COUNT(*), MAX(bought_at) FROM labels WHERE guidelines = ? "
                "GROUP BY 1",
                (annotator.guidelines,),
            )
            return [row for row in rows if row[0] in texts]

    def counts(self) -> list[tuple[str, str, int]]:
        """(annotator, guidelines, number of labels) of all labels ever bought.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.path.exists():
            return []
        with self._connection() as connection:
            return connection.execute(
                "SELECT annotator, guidelines, COUNT(*) FROM labels GROUP BY 1, 2 ORDER BY 1, 2"
            ).fetchall()


class Purchase:
    """Labels of one annotator, open for buying."""

    def __init__(self, connection: sqlite3.Connection, annotator: AnnotatorIdentity) -> None:
        self._connection = connection
        self._annotator = annotator

    def texts(self) -> list[str]:
        """All texts by which this annotator's labels may lie; its own last.

        Those of its name if it has one; else those of the same content, whoever was named for it.
        """
        own = self._annotator
        every = self._connection.execute("SELECT DISTINCT annotator FROM labels").fetchall()
        parts = {text: unnamed(text) for (text,) in every}
        if own.called is None:
            others = [text for text, (_, content) in parts.items() if content == own.name]
        else:
            others = [text for text, (name, _) in parts.items() if name == own.called]
        return [t for t in dict.fromkeys([*own.earlier, *others]) if t != own.name] + [own.name]

    def claim(self) -> None:
        """Keep labels that lie under an earlier text of this annotator under its own from now on.

        An edit later on then makes another annotator: the earlier text does not say what it was.
        A label that it has under both texts stays, under a text that nobody has.
        """
        own = self._annotator
        for text in own.earlier:
            for name in (own.name, f"{text} before {own.name}"):
                self._connection.execute(
                    "UPDATE OR IGNORE labels SET annotator = ? "
                    "WHERE annotator = ? AND guidelines = ?",
                    (name, text, own.guidelines),
                )

    def known(self) -> dict[tuple[str, tuple[str, ...]], float | None]:
        """(prompt_id, candidate ids) → score; None: the annotator gave no verdict."""
        found: dict[tuple[str, tuple[str, ...]], float | None] = {}
        for text in self.texts():
            rows: Iterable[tuple[str, str, float | None]] = self._connection.execute(
                "SELECT prompt_id, responses, score FROM labels "
                "WHERE annotator = ? AND guidelines = ?",
                (text, self._annotator.guidelines),
            )
            found |= {(prompt, _ids(responses)): score for prompt, responses, score in rows}
        return found

    def commit(self, prompt_id: str, responses: Sequence[str], score: float | None) -> None:
        """Write a label; it is on disk when this returns.

        Args:
            prompt_id: The prompt.
            responses: Candidate ids, in the order shown to the annotator.
            score: The verdict; None if the annotator gave none.
        """
        self._connection.execute(
            "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?)",
            (
                self._annotator.name,
                self._annotator.guidelines,
                prompt_id,
                canonical_json(list(responses)),
                score,
                time.time(),
            ),
        )


def _ids(responses: str) -> tuple[str, ...]:
    return tuple(json.loads(responses))


def unnamed(text: str) -> tuple[str | None, str]:
    """The name in the text of an annotator, if it has one, and the text without it.

    >>> unnamed('{"function":{},"name":"Mary"}'), unnamed('{"function":{}}')
    (('Mary', '{"function":{}}'), (None, '{"function":{}}'))
    """
    try:
        parts = json.loads(text)
        return parts.pop("name", None), canonical_json(parts)
    except (ValueError, AttributeError):
        return None, text
