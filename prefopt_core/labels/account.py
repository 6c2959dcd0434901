"""Accounts: what a budget has left, on disk, so that it holds across rounds, restarts, processes.

An account has spent something, and holds something for purchases under way. What is to be bought is
held first; a hold that would exceed the budget is refused before anybody is asked. A label and its
payment are one transaction. Questions that wait for people hold their labels and price, too.

If a process is killed, the labels that it held are free again, with their price: each that arrived
is on disk. The question that was with the annotator stays known as unanswered until it has its
answer: it is asked again, and its price counts as spent, as it may be billed. So does money that
was held for requests, since they may have been answered, and that of a request that gets no answer,
or one that cannot be read. In short: labels count when they arrive, money when it may be owed.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue

from prefopt_core.ground.errors import OverBudgetError
from prefopt_core.ground.spending import Paid, paying_from
from prefopt_core.labels.store import LabelStore
from prefopt_core.store.ledger import Connection, Ledger, transaction

_BALANCE = """
SELECT
  (SELECT COALESCE(SUM(labels), 0) FROM accounts WHERE account = ?),
  (SELECT COALESCE(SUM(cost), 0.0) FROM accounts WHERE account = ?),
  (SELECT COALESCE(SUM(labels), 0) FROM holds WHERE account = ?),
  (SELECT COALESCE(SUM(cost), 0.0) FROM holds WHERE account = ?),
  (SELECT COALESCE(SUM(awaited), 0) FROM awaiting WHERE account = ?),
  (SELECT COALESCE(SUM(awaited * price), 0.0) FROM awaiting WHERE account = ?),
  (SELECT COUNT(*) FROM unanswered WHERE account = ? AND holder = '')
"""
_Entry = tuple[Callable[[], None], Future[None]]
"""What is to be written, and whether it is."""


@dataclass(frozen=True)
class Allowance:
    """What may be spent from an account.

    Attributes:
        account: Its name: runs of one account share what it has.
        labels: The most labels.
        cost: The most money, in the currency of the prices; None: no limit.
    """

    account: str
    labels: int
    cost: float | None = None

    def key_part(self) -> dict[str, object]:
        """The part of the key of a result that was cut short by it, in words of the config."""
        return {"account": self.account, "budget": self.labels, "max_cost": self.cost}


@dataclass(frozen=True)
class Balance:
    """Labels and money of an account that are spent, and held for what is under way.

    Attributes:
        labels: Spent.
        cost: Spent.
        held_labels: Held, also by questions that wait for people.
        held_cost: Held, the same.
        awaited: Of the held labels, those that people are to give.
        unanswered: Questions that were with an annotator when its process was killed.
    """

    labels: int
    cost: float
    held_labels: int
    held_cost: float
    awaited: int = 0
    unanswered: int = 0


class Account:
    """An account, open for spending by the threads of this process."""

    def __init__(self, connection: Connection, allowance: Allowance, holder: str) -> None:
        self._connection, self.allowance, self.holder = connection, allowance, holder
        self._turn, self._waiting = threading.Lock(), SimpleQueue[_Entry]()

    def balance(self) -> Balance:
        """What is spent and held, by all processes.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        with self._turn:
            return balance_of(self._connection, self.allowance.account)

    def hold(self, labels: int = 0, cost: float = 0.0) -> str:
        """Hold labels and money for a purchase; returns the hold's id.

        Raises:
            OverBudgetError: They do not fit into what is left.
            StoreError: The SQLite file cannot be written.
        """
        hold = uuid.uuid4().hex

        def enter() -> None:
            self._check(balance_of(self._connection, self.allowance.account), labels, cost)
            self._connection.execute(
                "INSERT INTO holds VALUES (?, ?, ?, ?, ?)",
                (hold, self.allowance.account, self.holder, labels, cost),
            )

        self._commit(enter)
        return hold

    def settle(self, hold: str, cost: float = 0.0) -> None:
        """End a hold: `cost` is spent, what else it held is free again.

        Raises:
            StoreError: The SQLite file cannot be written.
        """

        def enter() -> None:
            self._connection.execute("DELETE FROM holds WHERE hold = ?", (hold,))
            spend(self._connection, self.allowance.account, 0, cost)

        self._commit(enter)

    def _commit(self, enter: Callable[[], None]) -> None:
        """Write an entry; what other threads write meanwhile shares its transaction.

        A transaction is as slow as the disk, and requests have two entries each. An entry that is
        refused writes nothing, and leaves the others as they are.
        """
        own: Future[None] = Future()
        self._waiting.put((enter, own))
        with self._turn:
            if not own.done():  # who had the turn has not written it
                self._write([self._waiting.get() for _ in range(self._waiting.qsize())])
        own.result()

    def _write(self, entries: Sequence[_Entry]) -> None:
        refused: dict[Future[None], OverBudgetError] = {}
        try:
            with transaction(self._connection):
                for enter, done in entries:
                    try:
                        enter()
                    except OverBudgetError as error:
                        refused[done] = error
        except BaseException as error:
            for _, done in entries:
                done.set_exception(error)
        else:
            for _, done in entries:
                done.set_exception(refused[done]) if done in refused else done.set_result(None)

    @contextmanager
    def reserving(self, most: float) -> Iterator[Paid]:
        """Hold money while a request is out; see `ground.spending.reserving`."""
        hold, costs = self.hold(cost=most), [0.0]
        try:
            yield costs.append
        finally:
            self.settle(hold, sum(costs))

    def affordable(self, price: float) -> int:
        """How many labels of that price the account can hold now.

        Raises:
            StoreError: The SQLite file cannot be read.
        """
        most, balance = self.allowance, self.balance()
        labels = max(0, most.labels - balance.labels - balance.held_labels)
        if most.cost is None or not price:
            return labels
        money = most.cost - balance.cost - balance.held_cost + _rounding(most.cost)
        return min(labels, max(0, int(money / price)))

    def pay(self, connection: Connection, hold: str | None, price: float) -> None:
        """Count a label as spent that was held, within the transaction of `connection`.

        What was held is given away if this process seems dead, as when its connection is cut: then
        the label has to fit into what is left.

        Raises:
            OverBudgetError: It does not.
        """
        account = self.allowance.account
        held = connection.execute(
            "UPDATE holds SET labels = labels - 1, cost = cost - ? WHERE hold = ? AND labels > 0",
            (price, hold),
        )
        if not held.rowcount:
            self._check(balance_of(connection, account), 1, price)
        spend(connection, account, 1, price)

    def _check(self, balance: Balance, labels: int, cost: float) -> None:
        most = self.allowance
        left = most.labels - balance.labels - balance.held_labels
        if labels > max(0, left):  # a lowered budget may be overdrawn, and holds of money go on
            raise OverBudgetError(
                f"{_labels_are(labels)} to be bought and {max(0, left)} of {most.labels} "
                f"are left: {balance.labels} are bought, {balance.held_labels} under way"
                f"{self._named()}. Raise `budget`, or lower `labels` of the rounds."
            )
        if most.cost is None:
            return
        money = most.cost - balance.cost - balance.held_cost
        if cost > money + _rounding(most.cost):
            raise OverBudgetError(
                f"{cost:,.4g} may be spent next, and {max(0.0, money):,.4g} of {most.cost:,.4g} "
                f"is left: {balance.cost:,.4g} is spent, {balance.held_cost:,.4g} under way"
                f"{self._named()}. Raise `max_cost`: the same command then goes on, and what was "
                "bought so far is kept."
            )

    def _named(self) -> str:
        name = self.allowance.account
        return "" if name.startswith("run ") else f" from the account {name!r}"


@contextmanager
def opened(kept: LabelStore, allowance: Allowance) -> Iterator[Account]:
    """Open an account for spending within the block.

    Holds of processes that are gone end: see the module's docstring.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    holder = f"holder-{uuid.uuid4().hex}"
    with kept.ledger.locked({holder: "holds of a budget"}, passing=True) as connection:
        end_holds_of_the_dead(connection, kept.ledger, allowance.account)
        yield Account(connection, allowance, holder)


@contextmanager
def paying(kept: LabelStore, allowance: Allowance | None) -> Iterator[None]:
    """Requests within the block are paid from an account, if its money is limited.

    Raises:
        StoreError: The SQLite file cannot be written.
    """
    if allowance is None or allowance.cost is None:
        yield
        return
    with opened(kept, allowance) as account, paying_from(account):
        yield


def end_holds_of_the_dead(connection: Connection, ledger: Ledger, account: str) -> None:
    """End what processes hold that are gone: see the module's docstring."""
    with transaction(connection):
        rows = connection.execute(
            "SELECT holder, SUM(CASE WHEN labels = 0 THEN cost ELSE 0.0 END) FROM ("
            "SELECT holder, labels, cost FROM holds WHERE account = ? UNION ALL "
            "SELECT holder, 0, price FROM unanswered WHERE account = ? AND holder <> '') AS held "
            "GROUP BY 1",
            (account, account),
        ).fetchall()
        for holder, cost in rows:
            if not ledger.is_locked(connection, holder):
                connection.execute("DELETE FROM holds WHERE holder = ?", (holder,))
                connection.execute("UPDATE unanswered SET holder = '' WHERE holder = ?", (holder,))
                spend(connection, account, 0, cost)


def balance_of(connection: Connection, account: str) -> Balance:
    """The balance of an account: all of it as it is at one moment, as one statement reads it."""
    row = connection.execute(_BALANCE, (account,) * _BALANCE.count("?")).fetchone()
    labels, cost, held_labels, held_cost, awaited, price, unanswered = row
    held = int(held_labels + awaited), held_cost + price
    return Balance(int(labels), cost, *held, int(awaited), unanswered)


def spend(connection: Connection, account: str, labels: int, cost: float) -> None:
    """Count labels and money as spent, within the transaction of `connection`."""
    connection.execute(
        "INSERT INTO accounts VALUES (?, ?, ?) ON CONFLICT (account) DO UPDATE SET "
        "labels = accounts.labels + excluded.labels, cost = accounts.cost + excluded.cost",
        (account, labels, cost),
    )


def _rounding(money: float) -> float:
    """By how much sums of prices may be off."""
    return 1e-9 * money


def _labels_are(number: int) -> str:
    return f"{number} label is" if number == 1 else f"{number} labels are"
