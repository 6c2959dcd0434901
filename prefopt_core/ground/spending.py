"""Spending of a stage on model servers: responses bought, tokens, cost, summed for display."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

_spending: ContextVar["Spending | None"] = ContextVar("spending", default=None)


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
        cost: At the prices of the config; 0 without prices.
        uncounted: Requests whose server did not say how many tokens they took.
        withheld: Responses without usable text that were left out.
    """

    responses: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    uncounted: int = 0
    withheld: int = 0

    def __str__(self) -> str:
        parts = []
        if self.responses:
            cost = f", {self.cost:,.4g}" if self.cost else ""
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
            setattr(total, field.name, getattr(total, field.name) + getattr(spent, field.name))


@contextmanager
def adding_up() -> Iterator[Spending]:
    """Yield the sums of all that `spend` is told within the block."""
    total = Spending()
    token = _spending.set(total)
    try:
        yield total
    finally:
        _spending.reset(token)
