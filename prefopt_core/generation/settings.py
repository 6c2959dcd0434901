"""Settings of the section `generation`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.generation import GENERATORS
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend


class GenerationConfig(Backend):
    """The generator of candidates: what is sampled for each prompt."""

    registry: ClassVar[Registry[Any]] = GENERATORS
    choice: ClassVar[str] = "generator"

    generator: str = Field("transformers", description="A name from `prefopt list generators`.")
    n: int = Field(8, ge=1, description="Responses per prompt. `file` gives all there are.")
