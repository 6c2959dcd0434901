"""Settings of the section `policy`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.models.start import POLICIES


class PolicyConfig(Backend):
    """The start policy: the model to align."""

    registry: ClassVar[Registry[Any]] = POLICIES
    choice: ClassVar[str] = "source"

    source: str = Field("pretrained", description="A name from `prefopt list policies`.")
