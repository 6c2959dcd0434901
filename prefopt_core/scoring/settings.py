"""Settings of the section `scoring`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.scoring import SCORERS


class ScoringConfig(Backend):
    """Who computes log-probabilities of given responses: for SPA's judge and DPO's reference."""

    registry: ClassVar[Registry[Any]] = SCORERS
    choice: ClassVar[str] = "scorer"

    scorer: str = Field("transformers", description="A name from `prefopt list scorers`.")
