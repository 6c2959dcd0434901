"""Settings of the section `pool`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field, field_validator

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.pool.strata import Rule


class PoolConfig(Backend):
    """Which of many prompts deserve the budget, before anything is generated for them."""

    registry: ClassVar[Registry[Any]] = POOL_STRATEGIES
    choice: ClassVar[str] = "strategy"

    strategy: str = Field(
        "facility_location", description="A name from `prefopt list pool-strategies`."
    )
    count: int = Field(ge=1, description="Prompts to keep.")
    near_duplicates: float | None = Field(
        0.95,
        gt=0,
        le=0.999,
        description="Cosine from which one prompt stands for another; null keeps all.",
    )
    rule: Rule = Field(
        "proportional", description="Share of a stratum: by its size, its root, or equal."
    )
    embedding: EmbeddingConfig = Field(
        default_factory=EmbeddingConfig, description="What makes two prompts alike."
    )

    @field_validator("embedding")
    @classmethod
    def _before_any_policy(cls, embedding: EmbeddingConfig) -> EmbeddingConfig:
        if embedding.by_policy:
            raise ConfigError(
                "'policy' embeds responses, and a pool has prompts alone. Use "
                "'sentence-transformers' or 'hashing' here."
            )
        return embedding

    def key_part(self) -> Any:
        """The cache key without `embedding`: the index of the embeddings enters it as an input."""
        part = super().key_part()
        del part["embedding"]
        return part
