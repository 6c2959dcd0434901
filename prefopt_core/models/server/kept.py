"""Responses bought from servers: each is on disk the moment it arrives, none is bought twice.

Like a label, a bought response belongs to no run: whoever asks the same model the same thing with
the same settings and seed gets it from here, also after a crash, for more samples, or in another
store of stages.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prefopt_core.store.artifacts import canonical_json, sha256_of
from prefopt_core.store.ledger import ledger
from prefopt_core.store.locks import locked

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    writer TEXT NOT NULL,       -- model and settings, canonical JSON
    prompt TEXT NOT NULL,       -- digest of what was sent
    first INTEGER NOT NULL,     -- number of the first of its samples
    choices TEXT NOT NULL,      -- JSON list of [text or null, the server's finish reason]
    prompt_tokens INTEGER,      -- as the server counts them; NULL: it did not say
    completion_tokens INTEGER,
    cost REAL,                  -- at the prices of the config; NULL: not known
    bought_at REAL NOT NULL,    -- seconds since 1970
    PRIMARY KEY (writer, prompt, first)
) WITHOUT ROWID
"""

Choice = tuple[str | None, str]
"""(text, or None where there is none; finish reason in the server's words)."""


@dataclass(frozen=True)
class Usage:
    """Tokens of one request, and what they cost; None where nobody said."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Bought:
    """All that one model was paid for."""

    model: str
    responses: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class ResponseStore:
    """The bought responses of one store, in SQLite with a write-ahead log."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "responses.sqlite"

    @contextmanager
    def buying(self, writer: dict[str, object]) -> Iterator["ResponsePurchase"]:
        """The right to buy from one writer; whoever else wants to waits, then finds the responses.

        Args:
            writer: The model's name and all settings that change what it writes.
        """
        name = canonical_json(writer)
        lock = self.root / "locks" / f"responses-{sha256_of(name)[:32]}"
        with (
            locked(lock, f"responses of {writer['model']}"),
            ledger(self.path, _SCHEMA, "responses") as connection,
        ):
            yield ResponsePurchase(connection, name)

    def bought(self) -> list[Bought]:
        """What was bought ever, by model."""
        if not self.path.exists():
            return []
        with ledger(self.path, _SCHEMA, "responses") as connection:
            rows = connection.execute(
                "SELECT json_extract(writer, '$.model'), SUM(json_array_length(choices)), "
                "TOTAL(prompt_tokens), TOTAL(completion_tokens), TOTAL(cost) "
                "FROM requests GROUP BY 1 ORDER BY 1"
            ).fetchall()
        return [Bought(model, n, int(p), int(c), cost) for model, n, p, c, cost in rows]


class ResponsePurchase:
    """Responses of one writer, open for buying."""

    def __init__(self, connection: sqlite3.Connection, writer: str) -> None:
        self._connection = connection
        self._writer = writer

    def known(self, prompt: str) -> dict[int, Choice]:
        """Number of the sample → what was written, for one prompt."""
        rows = self._connection.execute(
            "SELECT first, choices FROM requests WHERE writer = ? AND prompt = ?",
            (self._writer, prompt),
        )
        return {
            first + offset: (text, reason)
            for first, choices in rows
            for offset, (text, reason) in enumerate(json.loads(choices))
        }

    def commit(self, prompt: str, first: int, choices: Sequence[Choice], usage: Usage) -> None:
        """Put the answer to one request on disk; it is there when this returns."""
        self._connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._writer,
                prompt,
                first,
                json.dumps(choices),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cost,
                time.time(),
            ),
        )
