"""Buying labels of one annotator: a verdict and its payment are on disk when `commit` returns."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from prefopt_core.labels.account import Account, Allowance, opened
from prefopt_core.labels.questions import Compared, Question, Verdict
from prefopt_core.labels.schema import rename
from prefopt_core.labels.store import AnnotatorIdentity, Labels, LabelStore, labels_of, texts_of
from prefopt_core.store.artifacts import canonical_json
from prefopt_core.store.ledger import Connection, row_digest, transaction

_THAT = "WHERE annotator = ? AND guidelines = ? AND prompt_id = ? AND compared = ?"


class Purchase:
    """Labels of one annotator, open for buying.

    Attributes:
        account: What they are paid from; None: nothing is counted.
    """

    def __init__(
        self,
        connection: Connection,
        annotator: AnnotatorIdentity,
        account: Account | None,
        price: float,
    ) -> None:
        self._connection, self._annotator = connection, annotator
        self.account, self._price = account, price
        self._hold: str | None = None
        self._texts = json.dumps(texts_of(connection, annotator))

    def claim(self) -> None:
        """Keep labels that lie under an earlier text of this annotator under its own from now on.

        An edit later on then makes another annotator: the earlier text does not say what it was.
        A label that it has under both texts stays, under a text that nobody has. Answers of people
        stay with their questions, which would be open again without them.
        """
        own = self._annotator
        for text in own.earlier:
            if not self._has_labels(text):
                continue
            with transaction(self._connection) as connection:
                asked = connection.execute(
                    "SELECT prompt_id, compared FROM questions "
                    "WHERE annotator = ? AND guidelines = ?",
                    (text, own.guidelines),
                ).fetchall()
                for name in (own.name, f"{text} before {own.name}"):
                    rename(connection, text, name, own.guidelines, spare={*asked})

    def _has_labels(self, text: str) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM verdicts WHERE annotator = ? AND guidelines = ? LIMIT 1",
            (text, self._annotator.guidelines),
        )
        return found.fetchone() is not None

    def known(self) -> Labels:
        """The annotator's labels so far."""
        return labels_of(self._connection, self._annotator)

    def hold(self, labels: int) -> None:
        """Hold what so many labels cost, before anybody is asked.

        Raises:
            OverBudgetError: The account has not so much left.
        """
        if self.account and labels:
            self._hold = self.account.hold(labels, labels * self._price)

    def affordable(self) -> int:
        """How many labels could be held; only where there is an account."""
        return self.account.affordable(self._price) if self.account else 0

    def release(self) -> None:
        """Give back what is held and was not spent."""
        if self.account and self._hold:
            self.account.settle(self._hold)

    def ask(self, question: Question) -> None:
        """Write down that a question goes to the annotator, until `commit` has its answer."""
        with transaction(self._connection):
            self._note(question)

    def _note(self, question: Question) -> None:
        prompt, shown, _ = _place(question)
        own, holder = self._annotator, self.account.holder if self.account else ""
        price = self._price if self._is_new(question, "") else 0.0
        self._forget(question)
        self._connection.execute(
            "INSERT INTO unanswered VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                own.name,
                own.guidelines,
                prompt,
                shown,
                self._account_name,
                price,
                holder,
                time.time(),
            ),
        )

    def _forget(self, question: Question) -> None:
        self._connection.execute(
            "DELETE FROM unanswered WHERE annotator = ? AND guidelines = ? AND prompt_id = ? "
            "AND responses = ?",
            (self._annotator.name, self._annotator.guidelines, *_place(question)[:2]),
        )

    def forget_asked(self) -> None:
        """No answer is under way any more: there is none, or the annotator failed."""
        if self.account:
            self._connection.execute(
                "DELETE FROM unanswered WHERE holder = ?", (self.account.holder,)
            )

    def commit(self, question: Question, verdict: Verdict, then: Question | None = None) -> None:
        """Write a verdict, and pay for it; both are on disk when this returns.

        So is that the question `then` is asked next, in the same transaction.

        Another order of responses that this annotator has judged is no further label, not even if
        another model answers by its name now: nothing is held for it.
        """
        with transaction(self._connection) as connection:
            new = self._is_new(question, verdict.by)
            write_verdict(connection, self._annotator, question, verdict, self._account_name)
            write_texts(connection, [question])
            self._forget(question)
            if then:
                self._note(then)
            if self.account and new:
                self.account.pay(connection, self._hold, self._price)

    def publish(self, questions: Iterable[tuple[Question, int]]) -> None:
        """Leave questions for people, with how many people each is for.

        Those that are open already stay as they are, but for how many people they are: only who
        pays for them lowers it; who raises it takes them over, and pays for what is open. Labels
        that were held for them are held by the questions now.
        """
        own, now = self._annotator, time.time()  # one time: what was asked together
        with transaction(self._connection) as connection:
            there = self.published()
            for position, (question, wanted) in enumerate(questions):
                prompt, drawn, together = _place(question)
                key = own.name, own.guidelines, prompt, together
                pays = self._account_name, self._price
                before, account = there.get(question.compared, (0, ""))
                if not before:
                    connection.execute(
                        "INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (*key[:3], drawn, together, wanted, position, *pays, now),
                    )
                elif account == self._account_name:
                    connection.execute(f"UPDATE questions SET wanted = ? {_THAT}", (wanted, *key))
                elif before < wanted:
                    connection.execute(
                        f"UPDATE questions SET wanted = ?, account = ?, price = ? {_THAT}",
                        (wanted, *pays, *key),
                    )
                there[question.compared] = max(before, wanted), self._account_name
                write_texts(connection, [question])
            connection.execute("DELETE FROM holds WHERE hold = ?", (self._hold,))

    def published(self) -> dict[Compared, tuple[int, str]]:
        """The questions left for people: for how many people, and which account pays."""
        rows = self._connection.execute(
            "SELECT prompt_id, compared, wanted, account FROM questions "
            "WHERE annotator = ? AND guidelines = ?",
            (self._annotator.name, self._annotator.guidelines),
        )
        return {
            (prompt, tuple(json.loads(ids))): (wanted, account)
            for prompt, ids, wanted, account in rows
        }

    @property
    def _account_name(self) -> str:
        return self.account.allowance.account if self.account else ""

    def _is_new(self, question: Question, by: str) -> bool:
        prompt, shown, together = _place(question)
        found = self._connection.execute(
            f"SELECT 1 FROM verdicts WHERE annotator IN ({self._connection.each}) "
            "AND guidelines = ? AND prompt_id = ? AND compared = ? "
            "AND (said_by = ? OR responses <> ?)",
            (self._texts, self._annotator.guidelines, prompt, together, by, shown),
        )
        return found.fetchone() is None


@contextmanager
def buying(
    kept: LabelStore,
    annotator: AnnotatorIdentity,
    allowance: Allowance | None = None,
    *,
    price: float = 0.0,
) -> Iterator[Purchase]:
    """Open an annotator's labels for buying; another process waits, then finds what was bought.

    Args:
        kept: The label store.
        annotator: Whose labels.
        allowance: The account they are paid from; None: nothing is counted.
        price: Of one label.

    Raises:
        StoreError: The SQLite file cannot be written, or is damaged.
    """
    with ExitStack() as stack:
        connection = stack.enter_context(kept.locked(annotator))
        account = stack.enter_context(opened(kept, allowance)) if allowance else None
        purchase = Purchase(connection, annotator, account, price)
        stack.callback(purchase.release)
        purchase.claim()
        try:
            yield purchase
        except Exception:
            purchase.forget_asked()
            raise
        purchase.forget_asked()


def write_verdict(
    connection: Connection,
    annotator: AnnotatorIdentity,
    question: Question,
    verdict: Verdict,
    account: str,
    at: float | None = None,
) -> None:
    """Insert a verdict, given at that time or now, within the transaction of `connection`."""
    used = verdict.usage
    row = (
        annotator.name,
        annotator.guidelines,
        *_place(question),
        verdict.by,
        verdict.state,
        json.dumps(verdict.content()),
        verdict.why,
        used.prompt_tokens,
        used.completion_tokens,
        used.cost,
        verdict.seconds,
        account,
        time.time() if at is None else at,
    )
    connection.execute(
        f"INSERT INTO verdicts VALUES ({', '.join('?' * len(row))}, ?)", (*row, row_digest(*row))
    )


def write_texts(connection: Connection, questions: Iterable[Question]) -> None:
    """Insert prompts and responses, so that labels can be shown and exported without their run."""
    for question in questions:
        texts = [(question.prompt_id, json.dumps(list(question.prompt), ensure_ascii=False))]
        texts += [(shown.candidate_id, shown.text) for shown in question.responses]
        connection.executemany("INSERT INTO texts VALUES (?, ?) ON CONFLICT DO NOTHING", texts)


def _place(question: Question) -> tuple[str, str, str]:
    """(prompt_id, responses as shown, responses in alphabetical order), the latter as JSON."""
    prompt, responses = question.key
    return prompt, canonical_json(list(responses)), canonical_json(list(question.compared[1]))
