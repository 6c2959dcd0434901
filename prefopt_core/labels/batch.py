"""Batches: what one budget has left for people to answer, and how far they are.

Every question of a batch is answered by as many different people as it was published for.
"""

import sqlite3
from dataclasses import dataclass

from prefopt_core.labels.standing import Place, Progress, Standing, standing_of
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, unnamed


@dataclass(frozen=True)
class Batch:
    """Questions that are left for people.

    Attributes:
        annotator: Who is to answer, as the label store names it: the people as a whole.
        guidelines: Version of what they were told.
        account: The budget that the labels are paid from; "" if nothing is counted.
    """

    annotator: str
    guidelines: str
    account: str

    @property
    def identity(self) -> AnnotatorIdentity:
        """The annotator in the label store."""
        called, _ = unnamed(self.annotator)
        return AnnotatorIdentity(self.annotator, self.guidelines, called)

    def standing(self, connection: sqlite3.Connection, place: Place | None = None) -> Standing:
        """How its questions stand, or the one that lies at a place."""
        return standing_of(connection, self.identity, self.account, place)


def open_batches(kept: LabelStore) -> list[tuple[Batch, Progress]]:
    """The batches that lack labels, oldest first, and how far they are.

    Raises:
        StoreError: The SQLite file cannot be read.
    """
    if not kept.path.exists():
        return []
    with kept.connected() as connection:
        rows = connection.execute(
            "SELECT annotator, guidelines, account FROM questions GROUP BY 1, 2, 3 "
            "ORDER BY MIN(asked_at)"
        ).fetchall()
        found = [
            (batch, batch.standing(connection).progress())
            for batch in (Batch(*row) for row in rows)
        ]
    return [(batch, progress) for batch, progress in found if progress.left]
