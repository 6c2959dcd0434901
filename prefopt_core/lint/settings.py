"""Settings of the section `lint`."""

from typing import Any

from pydantic import Field, field_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.ground.settings import Config
from prefopt_core.lint import LINTS

REFUSED = ("empty", "identical", "malformed")
"""Of what no training can learn."""


class LintConfig(Config):
    """What is looked for in preference pairs before they are trained on; see `prefopt lint`."""

    skip: tuple[str, ...] = Field(
        (), description="Names from `prefopt list lints` that are not looked for."
    )
    refuse: tuple[str, ...] = Field(REFUSED, description="Those that end the run; all others warn.")

    @field_validator("skip", "refuse")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name not in LINTS:
                raise ConfigError(f"There is no lint {name!r}.{did_you_mean(name, LINTS)}")
        return names

    @property
    def names(self) -> list[str]:
        """Those that are looked for."""
        return [name for name in LINTS if name not in self.skip]

    def refuses(self, lint: str) -> bool:
        """Whether what a lint finds ends the run."""
        return lint in self.refuse and lint not in self.skip

    def key_part(self) -> Any:
        """What enters the cache key: the lints, with their packages; not which of them refuse."""
        return {name: LINTS.package(name) for name in self.names}
