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
    def as_before(self) -> set[str]:
        """`max_length`, where it is what the packaged encoder read before the setting existed."""
        read = self.params.get("model"), self.params.get("max_length")
        return {"max_length"} if read == (PACKAGED, 256) else set()
