"""Settings of the section `pairing`. Defaults are the cited paper's unless said otherwise."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend
from prefopt_core.pairing import PAIRINGS

Penalty = Annotated[float, Field(ge=0, allow_inf_nan=False)]

_NEWS = ("win_rates", "length_penalty", "finished", "characters", "fewest")


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

    length_penalty: Literal["auto"] | Penalty = Field(
        0.0,
        description="Subtracted per character from the scores of the judge, in their unit (DICE, "
        "arXiv:2406.09760); 'auto': as much as makes chosen and rejected responses equally long "
        "on average. Labels that were paid for stay.",
    )
    finished: bool = Field(
        False, description="Make no pairs of judged responses that were cut off, as in DICE."
    )
    characters: tuple[int, int] | None = Field(
        None,
        description="Make pairs only of judged responses that have so many characters, as [4, "
        "6699] in DICE; null: of all.",
    )
    fewest: int = Field(
        2, ge=2, description="Make no pair for prompts with fewer judged responses; 8 in DICE."
    )

    @field_validator("characters")
    @classmethod
    def _a_range(cls, ends: tuple[int, int] | None) -> tuple[int, int] | None:
        if ends and not 0 <= ends[0] <= ends[1]:
            raise ConfigError(f"{list(ends)} is no range: write the smaller number first.")
        return ends

    @property
    def is_particular(self) -> bool:
        """Whether it looks at judged responses themselves, not only at what the judge says."""
        return bool(self.length_penalty or self.finished or self.characters) or self.fewest > 2

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without newer settings, such as `win_rates`, where these are defaults."""
        fields = type(self).model_fields
        return {n: v for n, v in part.items() if n not in _NEWS or v != fields[n].default}

    def key_part(self) -> Any:
        """The cache key, see `without_news`."""
        return self.without_news(super().key_part())
