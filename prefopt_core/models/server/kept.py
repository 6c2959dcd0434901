"""The response store: responses bought from model servers, on disk as they arrive, reused.

Like a label, a bought response belongs to no run: every run that sends the same prompt to the same
model with the same settings and seed gets it from here, also after a crash or for more samples.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from prefopt_core.ground.spending import Usage
from prefopt_core.models.server.failures import is_failure
from prefopt_core.store.artifacts import canonical_json, sha256_of
from prefopt_core.store.ledger import ledger
from prefopt_core.store.locks import locked

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    writer TEXT NOT NULL,       -- model and settings, canonical JSON
    prompt TEXT NOT NULL,       -- digest of what was sent
    first INTEGER NOT NULL,     -- number of the first of its samples
    choices TEXT NOT NULL,      -- JSON list of [text or null, finish reason, likely tokens]
    prompt_tokens INTEGER,      -- as the server counts them; NULL: it did not say
    completion_tokens INTEGER,
    cost REAL,                  -- at the prices of the config; NULL: not known
    bought_at REAL NOT NULL,    -- seconds since 1970
    PRIMARY KEY (writer, prompt, first)
) WITHOUT ROWID
"""

LikelyTokens = tuple[str, dict[str, float]]
"""A token that was written, and the log-probabilities of the likeliest in its place."""


class ServedResponse(NamedTuple):
    """One choice of a completion.

    Attributes:
        text: None if there is none.
        finish_reason: The server's.
        likely: For each token, if log-probabilities were asked for and given.
    """

    text: str | None
    finish_reason: str
    likely: list[LikelyTokens] | None = None


@dataclass(frozen=True)
class Bought:
    """Sums of all responses bought from one model."""

    model: str
    responses: int
    prompt_tokens: int
    completion_tokens: int
    cost: float


class ResponseStore:
    """The bought responses of one store (`responses.sqlite`), in SQLite with a write-ahead log."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / "responses.sqlite"

    @contextmanager
    def buying(self, writer: dict[str, object]) -> Iterator["ResponsePurchase"]:
        """Lock the responses of one writer for buying; another process waits, then finds them.

        Args:
            writer: The model's name and all settings that change what it writes.

        Raises:
            StoreError: The SQLite file cannot be written, or is damaged.
        """
        name = canonical_json(writer)
        lock = self.root / "locks" / f"responses-{sha256_of(name)[:32]}"
        with (
            locked(lock, f"responses of {writer['model']}"),
            ledger(self.path, _SCHEMA, "responses") as connection,
        ):
            yield ResponsePurchase(connection, name)

    def bought(self) -> list[Bought]:
        """All responses ever bought, summed by model.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
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

    def answer(self, prompt: str) -> tuple[ServedResponse, Usage] | None:
        """Sample 0 of the prompt of that digest, if it is kept, with what its request took."""
        if (response := self.known(prompt).get(0)) is None:
            return None
        took = self._connection.execute(
            "SELECT prompt_tokens, completion_tokens, cost FROM requests "
            "WHERE writer = ? AND prompt = ? AND first = 0",
            (self._writer, prompt),
        ).fetchone()
        return response, Usage(*took)

    def known(self, prompt: str) -> dict[int, ServedResponse]:
        """Number of the sample → response, for the prompt of that digest; without failures."""
        rows = self._connection.execute(
            "SELECT first, choices FROM requests WHERE writer = ? AND prompt = ?",
            (self._writer, prompt),
        )
        return {
            first + offset: response
            for first, choices in rows
            for offset, response in enumerate(ServedResponse(*c) for c in json.loads(choices))
            if not is_failure(response.text, response.finish_reason)
        }

    def commit(
        self, prompt: str, first: int, choices: Sequence[ServedResponse], usage: Usage
    ) -> None:
        """Write the answer to one request; it is on disk when this returns.

        Samples that are there already, because failures were kept as responses, are overwritten.

        Args:
            prompt: Digest of what was sent.
            first: Number of the first of its samples.
            choices: The samples, in order.
            usage: Tokens and cost of the request.
        """
        before = self._connection.execute(
            "SELECT choices FROM requests WHERE writer = ? AND prompt = ? AND first = ?",
            (self._writer, prompt, first),
        ).fetchone()
        later = json.loads(before[0])[len(choices) :] if before else []
        self._connection.execute(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "choices = excluded.choices, bought_at = excluded.bought_at, "
            "prompt_tokens = prompt_tokens + excluded.prompt_tokens, "
            "completion_tokens = completion_tokens + excluded.completion_tokens, "
            "cost = cost + excluded.cost",
            (
                self._writer,
                prompt,
                first,
                json.dumps([*map(_row, choices), *later]),
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cost,
                time.time(),
            ),
        )


def _row(choice: ServedResponse) -> tuple[object, ...]:
    """A choice as it is kept: without log-probabilities as in every version."""
    return choice if choice.likely is not None else choice[:2]
