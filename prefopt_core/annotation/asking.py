"""From selected responses to the questions that an annotator is asked about them.

Two responses are shown in one order or in both. One order is drawn by their ids alone, so in any
set of questions either comes first about as often, and every run asks in the same way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Literal

import polars as pl

from prefopt_core.ground.randomness import rng_for
from prefopt_core.labels.questions import Compared, compared
from prefopt_core.labels.store import Label, Labels

Form = Literal["score", "compare", "rank"]
"""score: each response by itself; compare: all pairs of the selected; rank: all k at once."""

Orders = Literal["one", "both"]
"""Whether two responses are shown in one order, which is drawn, or in both."""

ASKING = ("ask", "orders", "people", "overlap")
"""Settings of annotators that say what is asked and how many answer, not who does: labels bought
under other values of these are labels of the same annotator."""


@dataclass(frozen=True)
class Ask:
    """What is asked for one label, or for one of each of several people.

    Attributes:
        prompt_id: Id of the prompt.
        orders: Candidate ids in the order shown; two orders of two responses if both are shown.
        people: How many are to answer.
    """

    prompt_id: str
    orders: tuple[tuple[str, ...], ...]
    people: int = 1

    @property
    def compared(self) -> Compared:
        """Where the label store has the labels."""
        return compared(self.prompt_id, self.orders[0])

    def answers(self, known: Labels) -> list[Label]:
        """The labels there are."""
        return known.get(self.compared, [])

    def labels_missing(self, known: Labels) -> int:
        """Labels that are still to be paid for."""
        return max(0, self.people - len({label.verdict.by for label in self.answers(known)}))

    def orders_missing(self, known: Labels) -> list[tuple[str, ...]]:
        """Orders in which the question is still to be asked."""
        if len(self.orders) == 1:  # an answer to the opposite order is an answer
            return list(self.orders) if self.labels_missing(known) else []
        there = {label.responses for label in self.answers(known)}
        return [order for order in self.orders if order not in there]


@dataclass(frozen=True)
class Asking:
    """How responses become questions: settings that annotators may have, see `ASKING`."""

    ask: Form = "score"
    orders: Orders = "one"
    people: int = 1
    overlap: float = 0.0

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Asking":
        """From all settings of an annotator."""
        return cls(**{name: params[name] for name in ASKING if name in params})

    def labels(self, k: int) -> int:
        """Labels that k selected responses to a prompt take, if one annotator answers."""
        return {"score": k, "compare": comb(k, 2), "rank": 1}[self.ask]

    def people_for(self, prompt_id: str) -> int:
        """How many answer what is asked about a prompt; whether it is in the overlap is drawn."""
        shared = self.people > 1 and rng_for(0, "overlap", prompt_id).random() < self.overlap
        return self.people if shared else 1

    def labels_of(self, prompt_id: str, k: int) -> int:
        """Labels that k selected responses to this prompt take."""
        return self.labels(k) * self.people_for(prompt_id)

    def asks(self, selections: pl.DataFrame) -> Iterator[Ask]:
        """What is asked about the responses of a table `selections`, prompt by prompt."""
        if self.ask == "score":  # in the order of the table
            for prompt_id, response in selections.select("prompt_id", "candidate_id").iter_rows():
                yield Ask(prompt_id, ((response,),), self.people_for(prompt_id))
            return
        groups = selections.group_by("prompt_id", maintain_order=True).agg("candidate_id")
        for prompt_id, responses in groups.iter_rows():
            size = 2 if self.ask == "compare" else len(responses)
            for some in combinations(responses, size):
                yield Ask(prompt_id, self._orders(prompt_id, some), self.people_for(prompt_id))

    def _orders(self, prompt_id: str, some: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        alphabetical = sorted(some)
        order = rng_for(0, "order shown", prompt_id, *alphabetical).permutation(len(some))
        shown = tuple(alphabetical[i] for i in order)
        return (shown, shown[::-1]) if self.orders == "both" and len(some) == 2 else (shown,)
