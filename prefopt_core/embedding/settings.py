"""Settings of the section `embedding`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.embedding import EMBEDDERS
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.models.encoder import PACKAGED


class EmbeddingConfig(Backend):
    """The embedder by which responses are compared; all-MiniLM-L6-v2 as in AEPO's code."""

    registry: ClassVar[Registry[Any]] = EMBEDDERS
    choice: ClassVar[str] = "embedder"

    embedder: str = Field(
        "sentence-transformers", description="A name from `prefopt list embedders`."
    )

    @property
    def by_policy(self) -> bool:
        """Whether the policy embeds: a model of the run, which changes from round to round."""
        return self.embedder == "policy"

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without `max_length`, where it is what the packaged encoder read before."""
        params = {**part["params"]}
        if (params.get("model"), params.get("max_length")) == (PACKAGED, 256):
            del params["max_length"]
        return part | {"params": params}

    def key_part(self) -> Any:
        """The cache key, see `without_news`."""
        return self.without_news(super().key_part())
