"""Settings of the section `selection`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.selection import STRATEGIES
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

    @property
    def fewest(self) -> int:
        """Labels that one prompt takes at least."""
        return self.k if self.allocation == "fixed" else 2

    def key_part(self) -> Any:
        """The cache key, with that of `similarity` as its own: it may name files, too."""
        return super().key_part() | {"similarity": self.similarity.key_part()}
