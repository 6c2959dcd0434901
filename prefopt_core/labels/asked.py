"""Bundles of tables: `Asked` (prompts, candidates, selections), `Proposal` (+ embeddings).

These tables travel together from selection on: to annotation, judgment, scoring and pairing.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from prefopt_core.store.artifacts import Artifact

T = TypeVar("T")
"""`Artifact` in flows, `pl.DataFrame` in the functions of stages."""

DESCRIBED = 1_000_000
"""Responses of a round from which its selection is described: 3 GB of memory."""


@dataclass(frozen=True)
class Asked(Generic[T]):
    """Responses for an annotator or judge to score, with their prompts.

    Attributes:
        prompts: Table `prompts`.
        candidates: Table `candidates`: all N responses to each prompt.
        selections: Table `selections`: the k of N responses to score; or `candidates` again, to
            score all of them.
    """

    selections: T
    candidates: T
    prompts: T


@dataclass(frozen=True)
class Proposal(Asked[T]):
    """Selected responses, with the embeddings they were selected by.

    Attributes:
        embeddings: Table `embeddings`; None if the strategy needs none.
    """

    embeddings: T | None = None


def first_shards(
    proposal: Proposal[Artifact], most: int = DESCRIBED
) -> tuple[Proposal[Artifact], list[str]]:
    """The first shards of a proposal, with so many responses, and that there are more."""
    every, seen = proposal.candidates, proposal.candidates.first(most)
    tables = {name: table for name, table in vars(proposal).items() if table is not None}
    if seen == every or any(table.parts != every.parts for table in tables.values()):
        return proposal, []
    cut = {
        name: Artifact(table=table.table, shards=table.shards[: seen.parts])
        for name, table in tables.items()
    }
    return Proposal(**cut), [
        f"The selection of the last round is described by its first {seen.rows:,} of "
        f"{every.rows:,} responses."
    ]
