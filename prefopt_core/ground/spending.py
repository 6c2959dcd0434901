"""Spending of a stage on model servers: summed for display, and held to a budget."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields
from typing import Protocol

_spending: ContextVar["Spending | None"] = ContextVar("spending", default=None)
_purse: ContextVar["Purse | None"] = ContextVar("purse", default=None)

Paid = Callable[[float], None]
"""Is told what a request cost."""


@dataclass(frozen=True)
class Usage:
    """Tokens and cost of one request; None where the server or the config does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None


@dataclass
class Spending:
    """What the requests made within a block of code took and cost, summed.

    Attributes:
        responses: Responses bought; those found in the response store do not count.
        prompt_tokens: Prompt tokens, as the servers count them.
        completion_tokens: Completion tokens, as the servers count them.
        cost: At the prices of the config, else of a table; 0 where neither says.
        priced_by: The tables, with their versions; what they say is in US dollars.
        uncounted: Requests whose server did not say how many tokens they took.
        withheld: Responses without usable text that were left out.
    """

    responses: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    priced_by: frozenset[str] = frozenset()
    uncounted: int = 0
    withheld: int = 0

    def __str__(self) -> str:
        parts = []
        if self.responses:
            table = f" US dollars by {', '.join(sorted(self.priced_by))}" if self.priced_by else ""
            cost = f", {self.cost:,.4g}{table}" if self.cost else ""
            unknown = f", {self.uncounted} requests of unknown usage" if self.uncounted else ""
            parts.append(
                f"{self.responses:,} responses bought: {self.prompt_tokens:,} prompt and "
                f"{self.completion_tokens:,} completion tokens{cost}{unknown}"
            )
        if self.withheld:
            parts.append(f"{self.withheld} withheld and left out")
        return " · ".join(parts)


def spend(spent: Spending) -> None:
    """Add to the sums of the enclosing `adding_up` block; does nothing outside of one."""
    if (total := _spending.get()) is not None:
        for field in fields(Spending):
            one, other = getattr(total, field.name), getattr(spent, field.name)
            setattr(total, field.name, one | other if isinstance(one, frozenset) else one + other)


@contextmanager
def adding_up() -> Iterator[Spending]:
    """Yield the sums of all that `spend` is told within the block."""
    total = Spending()
    token = _spending.set(total)
    try:
        yield total
    finally:
        _spending.reset(token)


class Purse(Protocol):
    """A budget of money that requests are paid from."""

    def reserving(self, most: float) -> AbstractContextManager[Paid]:
        """Hold `most` while the block runs; see `reserving`."""


@contextmanager
def reserving(most: float) -> Iterator[Paid]:
    """Hold `most` of the budget while a request is out; without a budget nothing is held.

    Yields a function to call with what the request cost, at most `most`; what is not called for is
    free again after the block. If the process is killed within it, all of `most` counts as spent,
    since the request may have been answered.

    Raises:
        OverBudgetError: `most` does not fit into what is left; raised before the block.
    """
    purse = _purse.get()
    if purse is None:
        yield lambda cost: None
        return
    with purse.reserving(most) as paid:
        yield paid


@contextmanager
def paying_from(purse: Purse) -> Iterator[None]:
    """Requests within the block are paid from `purse`."""
    token = _purse.set(purse)
    try:
        yield
    finally:
        _purse.reset(token)
