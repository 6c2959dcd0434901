"""Batches: what one budget has left for people to answer, and how far they are.

Every question of a batch is answered by as many different people as it was published for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prefopt_core.ground.ids import digest_of
from prefopt_core.labels.standing import Place, Progress, Standing, standing_of
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, unnamed
from prefopt_core.store.ledger import Connection


@dataclass(frozen=True)
class Batch:
    """Questions that are left for people.

    Attributes:
        annotator: Who is to answer, as the label store names it: the people as a whole.
        guidelines: Version of what they were told.
        account: The budget that the labels are paid from; "" if nothing is counted.
        name: Of what asks: a run, a file; "" if not known.
    """

    annotator: str
    guidelines: str
    account: str
    name: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """A short name for it, which stays its own."""
        return digest_of(self.annotator, self.guidelines, self.account)[:8]

    @property
    def identity(self) -> AnnotatorIdentity:
        """The annotator in the label store."""
        called, _ = unnamed(self.annotator)
        return AnnotatorIdentity(self.annotator, self.guidelines, called)

    def standing(self, connection: Connection, place: Place | None = None) -> Standing:
        """How its questions stand, or the one that lies at a place."""
        return standing_of(connection, self.identity, self.account, place)


def open_batches(kept: LabelStore) -> list[tuple[Batch, Progress]]:
    """The batches that lack labels, oldest first, and how far they are.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    if not kept.ledger.exists():
        return []
    with kept.connected() as connection:
        rows = connection.execute(
            "SELECT annotator, guidelines, account, COALESCE(name, '') "
            "FROM questions LEFT JOIN names USING (account) GROUP BY 1, 2, 3, 4 "
            "ORDER BY MIN(asked_at)"
        ).fetchall()
        found = [
            (batch, batch.standing(connection).progress())
            for batch in (Batch(*row) for row in rows)
        ]
    return [(batch, progress) for batch, progress in found if progress.left]


def progress_of(kept: LabelStore, batch: Batch) -> Progress:
    """How far a batch is, also one that is complete.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    with kept.connected() as connection:
        return batch.standing(connection).progress()


def name_account(kept: LabelStore, account: str, name: str) -> None:
    """Say what asks people from an account; what was said before is replaced.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    with kept.connected() as connection:
        connection.execute(
            "INSERT INTO names VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET name = "
            "excluded.name",
            (account, name),
        )


def accounts_called(kept: LabelStore) -> dict[str, str]:
    """Account → what asks people from it, where that was said.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    if not kept.ledger.exists():
        return {}
    with kept.connected() as connection:
        return dict(connection.execute("SELECT account, name FROM names").fetchall())


def meant(batches: Sequence[Batch], word: str) -> list[Batch]:
    """The batches that a word may mean: by number, id or name; else by a part of these.

    Args:
        batches: In the order in which they are shown, from number 1.
        word: What the user typed.
    """
    if word.isdecimal() and 1 <= int(word) <= len(batches):
        return [batches[int(word) - 1]]
    return called(batches, word) or [batch for batch in batches if word in in_words(batch)]


def called(batches: Iterable[Batch], word: str) -> list[Batch]:
    """The batches of that id, name or account."""
    return [batch for batch in batches if word in (batch.id, batch.name, batch.account)]


def in_words(batch: Batch) -> str:
    """A batch as one reads it.

    >>> in_words(Batch('{"name":"Mary","people":{}}', "2", "run 1f", "ask-us-0-4d05d8"))
    'cfff85aa  ask-us-0-4d05d8, of Mary, guidelines 2'
    """
    words = batch.name or batch.account or "nobody's budget"
    if batch.identity.called:
        words += f", of {batch.identity.called}"
    return f"{batch.id}  {words}, guidelines {batch.guidelines}"
