"""Taking verdicts from a file into the label store: every row is checked, then all or none."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from prefopt_core.exchange.files import Problem, RowsError
from prefopt_core.exchange.unchanged import check_annotator, check_texts
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import digest_of, last_text, quoted
from prefopt_core.labels.account import spend
from prefopt_core.labels.kept import Entry, question_of
from prefopt_core.labels.people import alike, person_named
from prefopt_core.labels.purchase import write_texts, write_verdict
from prefopt_core.labels.questions import Question, Verdict, compared
from prefopt_core.labels.schema import ROW, is_intact, refuse_changed
from prefopt_core.labels.store import AnnotatorIdentity, LabelStore, unnamed
from prefopt_core.labels.words import expected
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import Connection, transaction


@dataclass(frozen=True)
class Terms:
    """On what terms verdicts are taken.

    Attributes:
        annotator: Whose labels they are to be; None: of the annotator that each row names.
        by: Who gave those that do not say it.
        elsewhere: Whether to take verdicts on questions that this store did not ask.
        only_open: Whether to leave out, rather than refuse, answers to questions that enough
            people have answered.
    """

    annotator: AnnotatorIdentity | None = None
    by: str = ""
    elsewhere: bool = False
    only_open: bool = False


@dataclass
class Taken:
    """What became of the rows of a file.

    Attributes:
        labels: New labels.
        paid: Of these, such as answer questions of runs, whose budgets they count in.
        known: Rows that were taken before.
        blank: Rows without a verdict.
        surplus: Rows that were left out: enough people had answered.
        alike: Pairs of names, kept as two people, that may be one person.
    """

    labels: int = 0
    paid: int = 0
    known: int = 0
    blank: int = 0
    surplus: int = 0
    alike: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True)
class _Asked:
    """A question that was left for people."""

    wanted: int
    account: str
    price: float


@dataclass
class _Said:
    """What is kept on one question: (responses as shown, person) → (state, content)."""

    verdicts: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)

    @property
    def people(self) -> set[str]:
        return {by for _, by in self.verdicts}


def take(kept: LabelStore, entries: Iterable[Entry], terms: Terms) -> Taken:
    """Take the verdicts of a file, all or none; the same file may be taken twice.

    An answer to a question of a run is paid from that run's account, at the price of the question.

    Args:
        kept: The label store.
        entries: As a reader gives them.
        terms: On what terms.

    Raises:
        DataError: A row cannot be taken; a line for each of the first.
        StoreError: The SQLite file cannot be written.
    """
    unread: list[Problem] = []
    rows: list[Entry] = []
    try:
        for entry in entries:
            rows.append(_named(entry, terms))
    except RowsError as error:  # what else is wrong with the file is said, too
        unread += error.problems
    said = [entry for entry in rows if entry.verdict is not None]
    taken = Taken(blank=len(rows) - len(said))
    if not said and not unread:
        return taken
    annotators = sorted({(entry.annotator, entry.guidelines) for entry in said})
    # Who buys labels holds the lock, too: it would otherwise buy what is taken here.
    locked = kept.locked(*(_identity(*one) for one in annotators))
    with locked as connection, transaction(connection):
        _Taking(connection, terms, taken).take(said, unread)
    return taken


def _named(entry: Entry, terms: Terms) -> Entry:
    """The entry with whose label it is, and who said it."""
    if terms.annotator:
        who = terms.annotator
        entry = replace(entry, annotator=who.name, guidelines=who.guidelines)
    if entry.verdict:
        by = person_named(entry.verdict.by or terms.by)
        entry = replace(entry, verdict=replace(entry.verdict, by=by))
    return entry


def _identity(annotator: str, guidelines: str) -> AnnotatorIdentity:
    return AnnotatorIdentity(annotator, guidelines, unnamed(annotator)[0])


class _Taking:
    """One transaction."""

    def __init__(self, connection: Connection, terms: Terms, taken: Taken) -> None:
        self._connection, self._terms, self._taken = connection, terms, taken
        self._texts = dict(connection.execute("SELECT id, text FROM texts"))
        self._asked: dict[tuple[str, ...], _Asked] = {}
        self._shown: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._said: dict[tuple[str, ...], _Said] = {}
        self._new: dict[tuple[str, ...], str] = {}
        self._people: set[str] = set()
        self._read()

    def _read(self) -> None:
        for *key, shown, wanted, account, price in self._connection.execute(
            "SELECT annotator, guidelines, prompt_id, compared, responses, wanted, account, price "
            "FROM questions"
        ):
            self._asked[tuple(key)] = _Asked(wanted, account, price)
            self._see(key, shown)
        for row in self._connection.execute(f"SELECT {ROW} FROM verdicts"):
            if not is_intact(row):
                refuse_changed(row)
            annotator, guidelines, prompt, shown, together, by, state, content, *_ = row
            key = [annotator, guidelines, prompt, together]
            said = self._said.setdefault(tuple(key), _Said())
            said.verdicts[shown, by] = (state, content)
            self._people.add(by)
            self._see(key, shown)

    def _see(self, key: Sequence[str], shown: str) -> None:
        annotator, guidelines, prompt, _ = key
        question_id = digest_of(prompt, *json.loads(shown))
        self._shown[annotator, guidelines, question_id] = prompt, shown

    def take(self, entries: Sequence[Entry], unread: Sequence[Problem]) -> None:
        """Write all rows.

        Raises:
            RowsError: One of them cannot be taken, or could not be read.
        """
        problems = list(unread)
        for entry in entries:
            try:
                self._take(entry, self._question(entry))
            except DataError as error:
                problems.append((entry.where, f": {error}"))
        if problems:
            raise RowsError(problems, "Nothing was taken from the file.")

    def _question(self, entry: Entry) -> Question:
        """The question that a row answers, with the texts that were asked about.

        Raises:
            DataError: This store knows no such question, or its texts were edited.
        """
        known = self._shown.get((entry.annotator, entry.guidelines, entry.question_id))
        if known:
            asked = question_of(known[0], json.loads(known[1]), self._texts)
            if asked and entry.question:
                check_texts(asked, entry.question)
            if asked or entry.question:
                return asked or entry.question  # type: ignore[return-value]
        return self._from_elsewhere(entry)

    def _from_elsewhere(self, entry: Entry) -> Question:
        if not entry.annotator:
            raise DataError(
                "the file does not say whose labels these are. Say it: `--name NAME` keeps them as "
                "those of people of that name."
            )
        check_annotator(entry.annotator)
        if not (self._terms.elsewhere and entry.question):
            raise DataError(
                "such a question was never asked from this store, of this annotator under these "
                "guidelines. If that is meant, as with labels of another "
                "store, import a file that has the texts, with `--elsewhere`."
            )
        if entry.question.question_id != entry.question_id:
            raise DataError(
                f"its texts do not belong to the question {entry.question_id}: they were edited "
                "after the export, and the verdict would be one on other texts. Put back the texts."
            )
        return entry.question

    def _take(self, entry: Entry, question: Question) -> None:
        verdict = entry.verdict
        assert verdict is not None
        if not verdict.fits(question):
            size = len(question.responses)
            raise DataError(f"no verdict on {size} responses; expected {expected(size)}.")
        key = (entry.annotator, entry.guidelines, question.prompt_id, _together(question))
        asked, said = self._asked.get(key), self._said.setdefault(key, _Said())
        if asked and not verdict.by:
            raise DataError(
                "it does not say who gave the verdict. Fill in `by`, or name one person for the "
                "whole file with `--by NAME`."
            )
        place = (canonical_json(list(question.key[1])), verdict.by)
        self._refuse_repeat((*key, *place), entry)
        if place in said.verdicts:
            return self._agree(said.verdicts[place], verdict, question)
        if asked and self._enough(asked, said, verdict):
            self._taken.surplus += 1
            return None
        return self._write(entry, question, asked, said)

    def _refuse_repeat(self, place: tuple[str, ...], entry: Entry) -> None:
        if before := self._new.get(place):
            by = entry.verdict.by if entry.verdict else ""
            raise DataError(f"{by!r} answers the question of {before} again. Keep one of the rows.")
        self._new[place] = entry.where

    def _agree(self, kept: tuple[str, str], verdict: Verdict, question: Question) -> None:
        if kept != (verdict.state, json.dumps(verdict.content())):
            raise DataError(
                f"it contradicts what {verdict.by!r} said before to the prompt "
                f"{quoted(last_text(question.prompt))}: {kept[0]} {kept[1]}. Leave the verdict "
                "empty to keep that, or delete it first: `prefopt labels rm`."
            )
        self._taken.known += 1

    def _enough(self, asked: _Asked, said: _Said, verdict: Verdict) -> bool:
        """Whether this person, or as many as its run will pay for, have answered a question."""
        again = verdict.by in said.people
        if not again and len(said.people) < asked.wanted:
            return False
        if self._terms.only_open:
            return True
        if again:
            raise DataError(
                f"{verdict.by!r} answered it before, with the responses in another order. Leave "
                "such rows out with `--only-open`."
            )
        others = ", ".join(map(repr, sorted(said.people)))
        raise DataError(
            f"the question was for {asked.wanted} and is answered by {others}; the budget holds no "
            "more. Leave such rows out with `--only-open`, or ask several people by `people` and "
            "`overlap`."
        )

    def _write(self, entry: Entry, question: Question, asked: _Asked | None, said: _Said) -> None:
        assert entry.verdict is not None
        verdict, account = entry.verdict, asked.account if asked else ""
        self._taken.alike |= {(verdict.by, other) for other in alike(verdict.by, self._people)}
        self._people.add(verdict.by)
        who = _identity(entry.annotator, entry.guidelines)
        write_verdict(self._connection, who, question, verdict, account, entry.at)
        write_texts(self._connection, [question])
        if asked and account and verdict.by not in said.people:
            spend(self._connection, account, 1, asked.price)
            self._taken.paid += 1
        place = (canonical_json(list(question.key[1])), verdict.by)
        said.verdicts[place] = (verdict.state, json.dumps(verdict.content()))
        self._taken.labels += 1


def _together(question: Question) -> str:
    return canonical_json(list(compared(*question.key)[1]))
