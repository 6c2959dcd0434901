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
    win_rates: bool = Field(
        False,
        description="Also say of both responses how often they win against all that were labelled "
        "or judged of their prompt; the loss 'sppo' learns that.",
    )

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without `win_rates`, where it is off."""
        return {name: value for name, value in part.items() if name != "win_rates" or value}

    def key_part(self) -> Any:
        """The cache key, see `without_news`."""
        return self.without_news(super().key_part())
