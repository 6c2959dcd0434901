"""What every section of a config is made of: closed, frozen, and ready to be part of a key."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import content_digest
from prefopt_core.ground.registry import Registry, did_you_mean


class Config(BaseModel):
    """Frozen, so it can be a cache key; closed, so a misspelt setting is an error."""

    # Inputs stay out of error texts: somebody may put a key where the name of its variable belongs.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_settings(cls, data: Any) -> Any:
        if isinstance(data, dict):
            problems = [
                f"There is no setting {name!r}.{did_you_mean(name, cls.model_fields)}"
                for name in sorted(map(str, data.keys() - cls.model_fields.keys()))
            ]
            if problems:
                raise ConfigError(" ".join(problems))
        return data

    def key_part(self) -> Any:
        """What of this config enters a stage's key."""
        return self.model_dump(mode="json")


class Backend(Config):
    """A section that names a member of a registry and gives its settings in `params`."""

    registry: ClassVar[Registry[Any]]
    choice: ClassVar[str]

    params: dict[str, Any] = Field({}, description="Settings of what is chosen here.")

    @model_validator(mode="before")
    @classmethod
    def _complete_params(cls, data: Any) -> Any:
        # Defaults are written out, so that changing one in the code changes the cache key.
        if not isinstance(data, dict):
            return data
        name = data.get(cls.choice, cls.model_fields[cls.choice].default)
        params = data.get("params") or {}
        if not isinstance(name, str) or not isinstance(params, dict):
            return data  # the fields say what is wrong
        return data | {"params": cls.registry.complete_params(name, params)}

    def key_part(self) -> Any:
        """Files count by what is in them, not by where they lie; a function's file counts too."""
        params = dict(self.params)
        for name in self.registry.paths(getattr(self, self.choice)):
            if params[name] is not None:
                params[name] = content_digest(Path(params[name])) or params[name]
        part = {**self.model_dump(mode="json"), "params": params}
        file = Path(str(params.get("function", "")).partition(":")[0])
        digest = content_digest(file) if file.suffix == ".py" else None
        return part | ({"function_file": digest} if digest else {})
