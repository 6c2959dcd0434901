"""The label store: every verdict is on disk as soon as it arrives, and none is bought twice.

A label is one verdict of one annotator, under one version of the guidelines, on one question. It
belongs to no run: all runs that ask the same question share it. A question and the same with its
responses in another order are asked about as one, and both orders are kept.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefopt_core.ground.spending import Usage
from prefopt_core.labels.questions import Compared, Verdict, compared, verdict_of
from prefopt_core.labels.schema import ROW, TABLES, is_intact, refuse_changed, refuse_torn
from prefopt_core.store.artifacts import canonical_json, sha256_of
from prefopt_core.store.ledger import Connection, transaction
from prefopt_core.store.postgres import Database
from prefopt_core.store.sqlite_file import SqliteLedger
from prefopt_core.store.store import Store


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


@dataclass(frozen=True)
class Label:
    """A verdict as it is kept.

    Attributes:
        prompt_id: Id of the prompt.
        responses: Candidate ids, in the order shown.
        verdict: What the annotator said.
    """

    prompt_id: str
    responses: tuple[str, ...]
    verdict: Verdict


Labels = dict[Compared, list[Label]]
"""All labels of an annotator, those on the same responses together, oldest first."""


class LabelStore:
    """The bought labels of one store: in `labels.sqlite`, or in a database that machines share.

    Attributes:
        root: The folder or the database.
        ledger: What is there.
    """

    @classmethod
    def of(cls, store: Store) -> "LabelStore":
        """The label store of an artifact store; `store.opening` passes it to stages."""
        return cls(store.ledgers)

    def __init__(self, root: Path | Database) -> None:
        self.root = root
        self.ledger = TABLES.at(root)

    @property
    def path(self) -> Path:
        """The SQLite file, where labels lie in one."""
        assert isinstance(self.ledger, SqliteLedger)
        return self.ledger.path

    def connected(self) -> AbstractContextManager[Connection]:
        """A connection; tables are created, or brought to today's schema, if need be.

        Raises:
            StoreError: The labels cannot be written, or are damaged.
        """
        return self.ledger.connected()

    def locked(self, *annotators: AnnotatorIdentity) -> AbstractContextManager[Connection]:
        """Lock the labels of annotators; another process waits, then finds what was bought.

        Without the locks two runs could pay for the same verdict at the same time.

        Raises:
            StoreError: The labels cannot be written, or are damaged.
        """
        # By name and by content: labels count for whoever has either, see `texts_of`.
        purposes = {
            f"labels-{sha256_of([shared, own.guidelines])[:32]}": f"labels of {own.name}"
            for own in annotators
            for shared in {own.called, unnamed(own.name)[1]} - {None}
        }
        return self.ledger.locked(purposes)

    def known(self, annotator: AnnotatorIdentity) -> Labels:
        """Every label bought from `annotator`.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.ledger.exists():
            return {}
        with self.connected() as connection:
            return labels_of(connection, annotator)

    def sources(self, annotator: AnnotatorIdentity) -> list[tuple[str, int, float]]:
        """(text, number, newest) of the texts by which labels that count as this annotator's lie.

        `newest` is when the last of them was bought, in seconds since 1970.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.ledger.exists():
            return []
        with self.connected() as connection:
            texts = texts_of(connection, annotator)
            rows = connection.execute(
                "SELECT annotator, COUNT(*), MAX(bought_at) FROM verdicts WHERE guidelines = ? "
                "GROUP BY 1",
                (annotator.guidelines,),
            )
            return [row for row in rows if row[0] in texts]

    def of_others(
        self, own: AnnotatorIdentity, prompt_ids: Collection[str]
    ) -> dict[str, list[Label]]:
        """Labels on these prompts of all annotators but one, by the annotator's text.

        Of a question that an annotator answered under several guidelines the latest answer counts.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        found: dict[str, dict[tuple[str, ...], Label]] = defaultdict(dict)
        if self.ledger.exists():
            with self.connected() as connection:
                rows = connection.execute(
                    f"SELECT {ROW} FROM verdicts WHERE annotator NOT IN ({connection.each}) "
                    f"AND prompt_id IN ({connection.each}) ORDER BY bought_at",
                    (json.dumps(texts_of(connection, own)), json.dumps(list(prompt_ids))),
                )
                for row in rows:
                    label = _label(row)
                    key = label.prompt_id, *label.responses, label.verdict.by
                    found[row[0]][key] = label
        return {annotator: list(labels.values()) for annotator, labels in found.items()}

    def note_server(self, annotator: AnnotatorIdentity, address: str) -> None:
        """Note at which address a model's server is asked, which is no part of who it is.

        Raises:
            StoreError: The SQLite file cannot be written.
        """
        place = annotator.name, address
        with self.connected() as connection, transaction(connection):
            connection.execute("DELETE FROM servers WHERE annotator = ? AND address = ?", place)
            connection.execute("INSERT INTO servers VALUES (?, ?, ?)", (*place, time.time()))

    def servers(self, annotator: AnnotatorIdentity) -> list[str]:
        """The addresses at which an annotator was asked for its labels, the latest first.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.ledger.exists():
            return []
        with self.connected() as connection:
            rows = connection.execute(
                f"SELECT address FROM servers WHERE annotator IN ({connection.each}) "
                "GROUP BY 1 ORDER BY MAX(asked_at) DESC",
                (json.dumps(texts_of(connection, annotator)),),
            )
            return [address for (address,) in rows]

    def seconds(self) -> list[float]:
        """How long people took for each of their labels, whoever they are.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.ledger.exists():
            return []
        with self.connected() as connection:
            rows = connection.execute("SELECT seconds FROM verdicts WHERE seconds IS NOT NULL")
            return [seconds for (seconds,) in rows]

    def counts(self) -> list[tuple[str, str, int]]:
        """(annotator, guidelines, number of labels) of all labels ever bought.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        if not self.ledger.exists():
            return []
        with self.connected() as connection:
            return connection.execute(
                "SELECT annotator, guidelines, COUNT(*) FROM verdicts GROUP BY 1, 2 ORDER BY 1, 2"
            ).fetchall()


def labels_of(connection: Connection, annotator: AnnotatorIdentity) -> Labels:
    """All labels that count as this annotator's; of one that lies under two texts, its own."""
    found: dict[tuple[str, tuple[str, ...], str], Label] = {}
    for text in texts_of(connection, annotator):
        rows = connection.execute(
            f"SELECT {ROW} FROM verdicts WHERE annotator = ? AND guidelines = ? ORDER BY bought_at",
            (text, annotator.guidelines),
        )
        for row in rows:
            label = _label(row)
            found[label.prompt_id, label.responses, label.verdict.by] = label
    together: Labels = defaultdict(list)
    for label in found.values():
        together[compared(label.prompt_id, label.responses)].append(label)
    return dict(together)


def _label(row: Sequence[Any]) -> Label:
    """A row of the columns `ROW`."""
    _, _, prompt, responses, _, by, state, said, why, *used, seconds, _, _, _ = row
    if not is_intact(row):
        refuse_changed(row)
    verdict = verdict_of(
        state, json.loads(said), by=by, why=why, usage=Usage(*used), seconds=seconds
    )
    return Label(prompt, tuple(json.loads(responses)), verdict)


def texts_of(connection: Connection, annotator: AnnotatorIdentity) -> list[str]:
    """All texts by which this annotator's labels may lie; its own last.

    Those of its name if it has one; else those of the same content, whoever was named for it.

    Raises:
        StoreError: The ledger is damaged in a way that SQLite does not notice.
    """
    key = connection.key.format("annotator")
    every = connection.execute(_ANNOTATORS.format(key=key)).fetchall()
    if (None,) in every:
        refuse_torn()
    parts = {text: unnamed(text) for (text,) in every}
    if annotator.called is None:
        others = [text for text, (_, content) in parts.items() if content == annotator.name]
    else:
        others = [text for text, (name, _) in parts.items() if name == annotator.called]
    own = annotator.name
    return [t for t in dict.fromkeys([*annotator.earlier, *others]) if t != own] + [own]


# DISTINCT would read every label; this takes a step in the index for each annotator.
_ANNOTATORS = """
WITH RECURSIVE found (key) AS (
  SELECT MIN({key}) FROM verdicts
  UNION ALL
  SELECT (SELECT MIN({key}) FROM verdicts WHERE {key} > found.key)
  FROM found WHERE found.key IS NOT NULL
)
SELECT (SELECT annotator FROM verdicts WHERE {key} = found.key LIMIT 1)
FROM found WHERE found.key IS NOT NULL
"""


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
