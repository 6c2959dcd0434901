"""Settings of the section `pairing`. Defaults are the cited paper's unless said otherwise."""

from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.pairing import PAIRINGS


class PairingConfig(Backend):
    """How scores become pairs. Best against worst in both papers."""

    registry: ClassVar[Registry[Any]] = PAIRINGS
    choice: ClassVar[str] = "rule"

    rule: str = Field("best_against_worst", description="A name from `prefopt list pairings`.")
    keep: float = Field(
        1.0, gt=0, le=1, description="Share of self-labelled pairs kept, most confident first."
    )
