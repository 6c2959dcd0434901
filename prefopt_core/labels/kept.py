"""Labels in the label store, each with its texts: to be shown, exported or deleted."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from prefopt_core.ground.ids import digest_of
from prefopt_core.ground.spending import Usage
from prefopt_core.labels.batch import Batch, called, open_batches
from prefopt_core.labels.holdings import Holding, holdings
from prefopt_core.labels.questions import Question, Shown, Verdict, verdict_of
from prefopt_core.labels.schema import ROW, is_intact, refuse_changed
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import Connection, transaction


@dataclass(frozen=True)
class Entry:
    """A question to an annotator, with its verdict: as it is kept, or as it stands in a file.

    Attributes:
        question_id: Of the question, with its responses in the order shown.
        question: With its texts; None if they are not known.
        verdict: None: the question is open.
        annotator: Its name and settings by their content, canonical JSON; "": a file does not say.
        guidelines: The version that the annotator followed.
        account: The budget that it was paid from; "": from none.
        at: When it was given, in seconds since 1970; None: not known.
        where: File and row, for error messages.
    """

    question_id: str
    question: Question | None
    verdict: Verdict | None = None
    annotator: str = ""
    guidelines: str = ""
    account: str = ""
    at: float | None = None
    where: str = ""


@dataclass(frozen=True)
class Which:
    """Which labels are meant.

    Attributes:
        whose: The start of a holding's id, or an annotator, or the name that a user gave it; None:
            everybody's.
        by: The person or model.
        state: Of the verdict.
    """

    whose: str | None = None
    by: str | None = None
    state: str | None = None

    def holds(self, entry: Entry) -> bool:
        """Whether a verdict is by that person and of that state; an open question is by nobody."""
        if entry.verdict is None:
            return self.by is None and self.state is None
        return self.by in (None, entry.verdict.by) and self.state in (None, entry.verdict.state)


def verdicts_kept(kept: LabelStore, which: Which) -> list[Entry]:
    """The verdicts that are meant, oldest first.

    Raises:
        DataError: There are none of that name.
        StoreError: The SQLite file cannot be read.
    """
    return _read(kept, which, _kept)


def questions_open(kept: LabelStore, which: Which) -> list[Entry]:
    """The questions that wait for people, in the order in which they are asked.

    Args:
        kept: The label store.
        which: `whose` may be the id or the name of a batch, too.

    Raises:
        DataError: There is nothing of that name.
        StoreError: The SQLite file cannot be read.
    """
    batches = (batch for batch, _ in open_batches(kept))
    named = called(batches, which.whose) if which.whose else []
    if not named:
        return _read(kept, which, _open)
    entries = _read(kept, replace(which, whose=None), _open)
    return [one for one in entries if Batch(one.annotator, one.guidelines, one.account) in named]


_Reader = Callable[[Connection, Holding, dict[str, str]], Iterator[Entry]]


def _read(kept: LabelStore, which: Which, read: _Reader) -> list[Entry]:
    meant = holdings(kept, which.whose)
    if not meant:
        return []
    with kept.connected() as connection:
        texts = dict(connection.execute("SELECT id, text FROM texts"))
        return [
            entry
            for holding in meant
            for entry in read(connection, holding, texts)
            if which.holds(entry)
        ]


def _kept(connection: Connection, holding: Holding, texts: dict[str, str]) -> Iterator[Entry]:
    rows = connection.execute(
        f"SELECT {ROW} FROM verdicts WHERE annotator = ? AND guidelines = ? ORDER BY bought_at",
        (holding.annotator, holding.guidelines),
    )
    for row in rows:
        if not is_intact(row):
            refuse_changed(row)
        _, _, prompt, responses, _, by, state, said, why, *used, seconds, account, at, _ = row
        ids = json.loads(responses)
        verdict = verdict_of(
            state, json.loads(said), by=by, why=why, usage=Usage(*used), seconds=seconds
        )
        yield Entry(
            digest_of(prompt, *ids),
            question_of(prompt, ids, texts),
            verdict,
            holding.annotator,
            holding.guidelines,
            account,
            at,
        )


def _open(connection: Connection, holding: Holding, texts: dict[str, str]) -> Iterator[Entry]:
    rows = connection.execute(
        "SELECT prompt_id, responses, account FROM awaiting "
        "WHERE annotator = ? AND guidelines = ? AND awaited > 0 ORDER BY asked_at, position",
        (holding.annotator, holding.guidelines),
    )
    for prompt, responses, account in rows:
        ids = json.loads(responses)
        yield Entry(
            digest_of(prompt, *ids),
            question_of(prompt, ids, texts),
            None,
            holding.annotator,
            holding.guidelines,
            account,
        )


def question_of(prompt_id: str, ids: Sequence[str], texts: dict[str, str]) -> Question | None:
    """The question with its texts; None if one is not kept, as of labels of schema 1."""
    if not texts.keys() >= {prompt_id, *ids}:
        return None
    responses = tuple(Shown(one, texts[one]) for one in ids)
    return Question(prompt_id, json.loads(texts[prompt_id]), responses)


def forget(kept: LabelStore, which: Which) -> int:
    """Delete the labels that are meant, with their questions and the texts that nothing needs.

    What they had cost stays spent.

    Returns:
        How many labels were deleted.

    Raises:
        DataError: There are none of that name.
        StoreError: The SQLite file cannot be written.
    """
    meant = holdings(kept, which.whose)
    if not meant:
        return 0
    with kept.connected() as connection, transaction(connection):
        number = sum(_forget(connection, holding, which) for holding in meant)
        unused = {text for (text,) in connection.execute("SELECT id FROM texts")}
        for table in ("verdicts", "questions"):
            for prompt, responses in connection.execute(
                f"SELECT prompt_id, responses FROM {table}"
            ):
                unused -= {prompt, *json.loads(responses)}
        connection.executemany("DELETE FROM texts WHERE id = ?", [(one,) for one in unused])
    return number


def _forget(connection: Connection, holding: Holding, which: Which) -> int:
    of_holding = (holding.annotator, holding.guidelines)
    values: tuple[str, ...]
    where, values = "annotator = ? AND guidelines = ?", of_holding
    for column, value in (("said_by", which.by), ("state", which.state)):
        if value is not None:
            where, values = f"{where} AND {column} = ?", (*values, value)
    # A question that is left would be open again, and hold its budget for nobody.
    connection.execute(
        "DELETE FROM questions WHERE annotator = ? AND guidelines = ? AND (prompt_id, compared) IN "
        f"(SELECT prompt_id, compared FROM verdicts WHERE {where})",
        (*of_holding, *values),
    )
    return connection.execute(f"DELETE FROM verdicts WHERE {where}", values).rowcount
