"""What a stage paid servers for: whoever buys says so, whoever shows adds up."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

_spending: ContextVar["Spending | None"] = ContextVar("spending", default=None)


@dataclass
class Spending:
    """Sums over a block of code.

    Attributes:
        responses: Bought, so not those that the store had.
        prompt_tokens: As the servers count them.
        completion_tokens: As the servers count them.
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
            parts.append(
                f"{self.responses:,} responses bought: {self.prompt_tokens:,} prompt and "
                f"{self.completion_tokens:,} completion tokens"
                + f", {self.cost:,.4g}" * bool(self.cost)
                + f", {self.uncounted} requests of unknown usage" * bool(self.uncounted)
            )
        return " · ".join(parts + [f"{self.withheld} withheld and left out"] * bool(self.withheld))


def spend(spent: Spending) -> None:
    """Add to what the running stage has paid for."""
    if (total := _spending.get()) is not None:
        for field in fields(Spending):
            setattr(total, field.name, getattr(total, field.name) + getattr(spent, field.name))


@contextmanager
def adding_up() -> Iterator[Spending]:
    """Everything spent in the block."""
    total = Spending()
    token = _spending.set(total)
    try:
        yield total
    finally:
        _spending.reset(token)
