"""Tables of the label store: verdicts, texts, open questions, budgets; `labels.sqlite` earlier.

Before schema 3 verdicts had no digest: theirs is made of what they say when the file is opened.

Before schema 2 there was one table `labels`, of scores. Its rows are verdicts now; a view of that
name is left, so that an earlier prefopt finds its labels and cannot buy them again: it cannot
write into a view, and says so.
"""

import json
from collections.abc import Sequence, Set
from typing import Any, NoReturn

from prefopt_core.ground.errors import StoreError
from prefopt_core.ground.ids import digest_of
from prefopt_core.store.ledger import Connection, row_digest, transaction
from prefopt_core.store.places import Tables
from prefopt_core.store.sqlite_file import SqliteConnection

SCHEMA = """
CREATE TABLE IF NOT EXISTS verdicts (
    annotator TEXT NOT NULL,   -- name and settings, canonical JSON
    guidelines TEXT NOT NULL,  -- version of what the annotator was told
    prompt_id TEXT NOT NULL,
    responses TEXT NOT NULL,   -- canonical JSON list of candidate ids, in the order shown
    compared TEXT NOT NULL,    -- the same list in alphabetical order
    said_by TEXT NOT NULL,     -- the person or model; '' where there is only one
    state TEXT NOT NULL,       -- of labels/questions.py
    said TEXT NOT NULL,        -- JSON: scores, a preference, or {}
    why TEXT NOT NULL,
    prompt_tokens INTEGER,     -- as a server counts them; NULL: it did not say
    completion_tokens INTEGER,
    cost REAL,                 -- NULL: not known
    seconds REAL,              -- that a person took; NULL: not measured
    account TEXT NOT NULL,     -- the budget it was paid from; '' in labels of schema 1
    bought_at REAL NOT NULL,   -- seconds since 1970
    digest TEXT NOT NULL,      -- of all the others: is_intact
    PRIMARY KEY (annotator, guidelines, prompt_id, responses, said_by)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS texts (
    id TEXT PRIMARY KEY,       -- prompt_id or candidate_id
    text TEXT NOT NULL         -- JSON list of messages, or the response
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS questions (
    annotator TEXT NOT NULL,   -- who is to answer, as in verdicts
    guidelines TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    responses TEXT NOT NULL,   -- canonical JSON list of candidate ids, in the order drawn
    compared TEXT NOT NULL,    -- the same list in alphabetical order
    wanted INTEGER NOT NULL,   -- by so many people
    position INTEGER NOT NULL, -- asked in this order
    account TEXT NOT NULL,     -- the budget that its labels will be paid from
    price REAL NOT NULL,       -- of one of them
    asked_at REAL NOT NULL,    -- seconds since 1970
    PRIMARY KEY (annotator, guidelines, prompt_id, compared)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS awaiting AS  -- questions, with how many people are still to answer each
SELECT o.*, CASE WHEN wanted > given THEN wanted - given ELSE 0 END AS awaited FROM (
    SELECT q.*, (
        SELECT COUNT(DISTINCT said_by) FROM verdicts v
        WHERE (v.annotator, v.guidelines, v.prompt_id, v.compared)
            = (q.annotator, q.guidelines, q.prompt_id, q.compared)
    ) AS given FROM questions q
) AS o;
CREATE TABLE IF NOT EXISTS unanswered (  -- asked, and no answer is on disk; see labels/account.py
    annotator TEXT NOT NULL,   -- as in verdicts
    guidelines TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    responses TEXT NOT NULL,
    account TEXT NOT NULL,
    price REAL NOT NULL,
    holder TEXT NOT NULL,      -- as in holds; '': it was killed, and the price counts as spent
    asked_at REAL NOT NULL,    -- seconds since 1970
    PRIMARY KEY (annotator, guidelines, prompt_id, responses)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS servers (
    annotator TEXT NOT NULL,   -- as in verdicts
    address TEXT NOT NULL,     -- at which it was asked: of a model's name alone nobody knows that
    asked_at REAL NOT NULL,    -- the last time, in seconds since 1970
    PRIMARY KEY (annotator, address)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts (
    account TEXT PRIMARY KEY,
    labels INTEGER NOT NULL,   -- spent
    cost REAL NOT NULL         -- spent, or presumed so: see labels/account.py
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (
    account TEXT PRIMARY KEY,
    name TEXT NOT NULL         -- of what asks people: a run, a file
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holds (
    hold TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    holder TEXT NOT NULL,      -- the lock file that its process holds
    labels INTEGER NOT NULL,   -- not yet spent
    cost REAL NOT NULL
) WITHOUT ROWID;
"""

SAID = (
    "guidelines", "prompt_id", "responses", "compared", "said_by", "state", "said", "why",
    "prompt_tokens", "completion_tokens", "cost", "seconds", "account", "bought_at",
)  # fmt: skip
"""Columns of `verdicts` behind the annotator, of which a row's digest is, too."""

ROW = f"annotator, {', '.join(SAID)}, digest"
"""The columns of `verdicts`."""

_DIGEST = f"row_digest(annotator, {', '.join(SAID)})"

_VIEW = """
CREATE VIEW labels AS
SELECT annotator, guidelines, prompt_id, responses, json_extract(said, '$.scores[0]') AS score,
       bought_at
FROM verdicts WHERE said_by = ''
"""


def upgrade(connection: SqliteConnection) -> None:
    """Move labels of schema 1 into `verdicts`, give those of schema 2 digests; a transaction each.

    Does nothing to later ones.
    """
    if not _has_digests(connection):
        with transaction(connection):
            if not _has_digests(connection):
                connection.execute(
                    "ALTER TABLE verdicts ADD COLUMN digest TEXT NOT NULL DEFAULT ''"
                )
                connection.execute(f"UPDATE verdicts SET digest = {_DIGEST}")
    if _is_view(connection):
        return
    with transaction(connection):
        if not _is_view(connection):  # no other process was first
            _move(connection)
            connection.execute(_VIEW)


def _has_digests(connection: SqliteConnection) -> bool:
    columns = "SELECT 1 FROM pragma_table_info('verdicts') WHERE name = 'digest'"
    return connection.execute(columns).fetchone() is not None


def _is_view(connection: SqliteConnection) -> bool:
    kinds = "SELECT type FROM sqlite_master WHERE name = 'labels'"
    return connection.execute(kinds).fetchone() == ("view",)


def _move(connection: SqliteConnection) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'labels'").fetchone() is None:
        return
    rows = connection.execute(
        "SELECT annotator, guidelines, prompt_id, responses, score, bought_at FROM labels"
    ).fetchall()
    connection.executemany(
        "INSERT INTO verdicts VALUES (?, ?, ?, ?, ?, '', ?, ?, '', NULL, NULL, NULL, NULL, '', ?, "
        "'')",
        (
            # One response each: in alphabetical order they are what they were.
            (*key, key[-1], *(("skipped", "{}") if score is None else _given(score)), bought_at)
            for *key, score, bought_at in rows
        ),
    )
    connection.execute(f"UPDATE verdicts SET digest = {_DIGEST} WHERE digest = ''")
    connection.execute("DROP TABLE labels")


def _given(score: float) -> tuple[str, str]:
    return "given", json.dumps({"scores": [score]})


_INDEXES = """
CREATE INDEX verdicts_prompts ON verdicts (prompt_id);
CREATE INDEX questions_prompts ON questions (prompt_id)
"""

TABLES = Tables("labels", SCHEMA, upgrade, _INDEXES)


def is_intact(row: Sequence[Any]) -> bool:
    """Whether a row of the columns `ROW` says what it said when it was written."""
    return row_digest(*row[:-1]) == row[-1]


def rename(
    connection: Connection,
    annotator: str,
    named: str,
    guidelines: str,
    spare: Set[tuple[str, str]] = frozenset(),
) -> int:
    """Give an annotator's labels another text, within the transaction of `connection`.

    Those that were changed stay as they are, and those that lie under the other text, too.

    Args:
        connection: To the label store.
        annotator: The text.
        named: The other.
        guidelines: The version that they follow.
        spare: (prompt_id, compared) of those that stay in any case.

    Returns:
        How many got it.
    """
    whose = f"SELECT {ROW} FROM verdicts WHERE annotator = ? AND guidelines = ?"
    taken = {label_key(row) for row in connection.execute(whose, (named, guidelines))}
    moved = [
        (named, row_digest(named, *row[1:-1]), annotator, *label_key(row))
        for row in connection.execute(whose, (annotator, guidelines))
        if is_intact(row) and label_key(row) not in taken and (row[2], row[4]) not in spare
    ]
    connection.executemany(
        "UPDATE verdicts SET annotator = ?, digest = ? WHERE annotator = ? AND guidelines = ? "
        "AND prompt_id = ? AND responses = ? AND said_by = ?",
        moved,
    )
    return len(moved)


def label_key(row: Sequence[Any]) -> tuple[Any, ...]:
    """(guidelines, prompt_id, responses, said_by) of a row of the columns `ROW`."""
    _, guidelines, prompt, responses, _, by, *_ = row
    return guidelines, prompt, responses, by


def label_id(prompt_id: str, responses: str, by: str) -> str:
    """Eight digits for a label, of what stands in its row."""
    return digest_of(prompt_id, responses, by)[:8]


def refuse_changed(row: Sequence[Any]) -> NoReturn:
    """Raise for a label that was changed, a row of the columns `ROW`.

    Raises:
        StoreError: Always.
    """
    label = label_id(*map(str, label_key(row)[1:]))
    raise StoreError(
        f"The label {label} was changed since it was written, and is not used. `prefopt labels "
        "verify` shows all such labels; put back a copy, or type `prefopt labels rebuild`."
    )


def refuse_torn() -> NoReturn:
    """Raise for a ledger whose index and rows disagree, which SQLite does not notice.

    Raises:
        StoreError: Always.
    """
    raise StoreError(
        "The labels bought so far cannot be trusted: their index and their rows disagree. Put "
        "back a copy of the ledger, or move it away with the files that begin with its name and "
        "type `prefopt labels rebuild`: tables of the store have most of them."
    )
