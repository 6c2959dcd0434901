"""The response store: responses bought from model servers, on disk as they arrive, reused.

Like a label, a bought response belongs to no run: every run that sends the same prompt to the same
model with the same settings and seed gets it from here, also after a crash or for more samples.
"""

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from prefopt_core.ground.spending import Usage
from prefopt_core.models.server.failures import is_failure
from prefopt_core.store.artifacts import canonical_json, sha256_of
from prefopt_core.store.ledger import Connection, transaction
from prefopt_core.store.places import Tables
from prefopt_core.store.postgres import Database

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
_TABLES = Tables("responses", _SCHEMA, indexes="CREATE INDEX requests_prompts ON requests (prompt)")

_THERE = "WHERE writer = ? AND prompt = ? AND first = ?"

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
    """The bought responses of one store: in `responses.sqlite`, or in a database as its labels."""

    def __init__(self, root: Path | Database) -> None:
        self.root = root
        self._ledger = _TABLES.at(root)

    @contextmanager
    def buying(self, writer: dict[str, object]) -> Iterator["ResponsePurchase"]:
        """Lock the responses of one writer for buying; another process waits, then finds them.

        Args:
            writer: The model's name and all settings that change what it writes.

        Raises:
            StoreError: The SQLite file cannot be written, or is damaged.
        """
        name = canonical_json(writer)
        purpose = {f"responses-{sha256_of(name)[:32]}": f"responses of {writer['model']}"}
        with self._ledger.locked(purpose) as connection:
            yield ResponsePurchase(connection, name)

    def bought(self) -> list[Bought]:
        """All responses ever bought, summed by model.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self._ledger.exists():
            return []
        with self._ledger.connected() as connection:
            rows = connection.execute(
                f"SELECT writer, SUM({connection.length.format('choices')}), "
                "COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(completion_tokens), 0), "
                "COALESCE(SUM(cost), 0.0) FROM requests GROUP BY 1"
            ).fetchall()
        sums: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0, 0.0])
        for writer, *numbers in rows:
            own = sums[json.loads(writer)["model"]]
            own[:] = [a + b for a, b in zip(own, numbers, strict=True)]
        return [
            Bought(model, int(n), int(prompt), int(completion), cost)
            for model, (n, prompt, completion, cost) in sorted(sums.items())
        ]


class ResponsePurchase:
    """Responses of one writer, open for buying."""

    def __init__(self, connection: Connection, writer: str) -> None:
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
        place = self._writer, prompt, first
        with transaction(self._connection) as connection:
            before = connection.execute(
                f"SELECT choices, prompt_tokens, completion_tokens, cost FROM requests {_THERE}",
                place,
            ).fetchone()
            later, took = [], usage
            if before:
                later = json.loads(before[0])[len(choices) :]
                took = Usage(*map(_together, before[1:], astuple(usage)))
                connection.execute(f"DELETE FROM requests {_THERE}", place)
            written = json.dumps([*map(_row, choices), *later])
            row = (*place, written, took.prompt_tokens, took.completion_tokens, took.cost)
            connection.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, time.time())
            )


def _together(one: Any, other: Any) -> Any:
    """The sum of two figures; not known if one of them is not."""
    return None if None in (one, other) else one + other


def _row(choice: ServedResponse) -> tuple[object, ...]:
    """A choice as it is kept: without log-probabilities as in every version."""
    return choice if choice.likely is not None else choice[:2]
