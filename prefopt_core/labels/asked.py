"""What annotators are asked about: prompts, their candidates, and the responses selected of them.

These three tables travel together from selection on; with the embeddings that a selection was made
by, they say what was selected of what (`Proposal`).
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
"""An artifact in flows, a frame in the functions of stages."""


@dataclass(frozen=True)
class Asked(Generic[T]):
    """The responses that somebody is to score or judge.

    Attributes:
        prompts: Table `prompts`.
        candidates: Table `candidates`: all N responses to each prompt.
        selections: Table `selections`: the k of them that are asked about; or `candidates` again,
            if that is all of them.
    """

    prompts: T
    candidates: T
    selections: T


@dataclass(frozen=True)
class Proposal(Asked[T]):
    """Selected responses, with the embeddings by which they were selected, if by any."""

    embeddings: T | None = None
