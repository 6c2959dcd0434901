"""Bundles of tables: `Asked` (prompts, candidates, selections), `Proposal` (+ embeddings).

These tables travel together from selection on: to annotation, judgment, scoring and pairing.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
"""`Artifact` in flows, `pl.DataFrame` in the functions of stages."""


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
