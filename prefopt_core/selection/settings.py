"""Settings of the section `selection`. Defaults are the cited paper's unless said otherwise."""

import inspect
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.candidates import Candidates, Ensemble, Estimated
from prefopt_core.selection.requirements import require_pair
from prefopt_core.selection.similarity import SIMILARITIES


class SimilarityConfig(Backend):
    """Similarity of two responses to a prompt. AEPO's code has embeddings, BLEU, BERTScore."""

    registry: ClassVar[Registry[Any]] = SIMILARITIES
    choice: ClassVar[str] = "measure"

    measure: str = Field("cosine", description="A name from `prefopt list similarities`.")


class SelectionConfig(Backend):
    """Which responses are worth a label (AEPO, arXiv:2405.13541)."""

    registry: ClassVar[Registry[Any]] = STRATEGIES
    choice: ClassVar[str] = "strategy"

    strategy: str = Field("aepo", description="A name from `prefopt list strategies`.")
    k: int = Field(2, ge=2, description="Responses labelled per prompt; 2 in the paper.")
    similarity: SimilarityConfig = Field(
        default_factory=SimilarityConfig, description="What the strategy compares responses by."
    )
    allocation: Literal["fixed", "coverage", "objective"] = Field(
        "fixed",
        description="fixed: k labels for each of as many prompts as the budget pays, at random. "
        "Else 2 to k labels for those prompts where they add most to the coverage of what was "
        "sampled, or to AEPO's objective.",
    )

    @model_validator(mode="after")
    def _of_pairs(self) -> "SelectionConfig":
        if self.needs_estimates:
            require_pair(self.k, self.k)
        return self

    @property
    def needs_estimates(self) -> bool:
        """Whether the strategy chooses by estimated rewards."""
        return issubclass(self._given(), Estimated)

    @property
    def needs_heads(self) -> bool:
        """Whether it needs more than one estimate of each reward."""
        return issubclass(self._given(), Ensemble)

    def _given(self) -> type[Candidates]:
        """What the strategy is called with: the type of its first parameter."""
        strategy = STRATEGIES[self.strategy]
        kind = next(iter(inspect.signature(strategy, eval_str=True).parameters.values())).annotation
        return kind if isinstance(kind, type) and issubclass(kind, Candidates) else Candidates

    @property
    def fewest(self) -> int:
        """Labels that one prompt takes at least."""
        return self.k if self.allocation == "fixed" else 2

    def key_part(self) -> Any:
        """The cache key, with that of `similarity` as its own: it may name files, too."""
        return super().key_part() | {"similarity": self.similarity.key_part()}
