"""Base classes of config sections: `Config`, and `Backend`, which names a registry member."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import content_digest
from prefopt_core.ground.registry import (
    NO_NUMBER,
    SPEED_ONLY,
    Registry,
    did_you_mean,
    is_number,
    it_is,
)
from prefopt_core.ground.user_code import content_of

IDENTITY = "identity"
"""Context of a dump that names something: older settings alone, so that names stay as they were."""


class Config(BaseModel):
    """A config section: frozen, so it can enter a cache key; a misspelt setting is an error."""

    # Inputs stay out of error texts: somebody may put a key where the name of its variable belongs.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_unknown_settings(cls, data: Any) -> Any:
        if isinstance(data, dict):
            problems = [
                f"There is no setting {name!r}."
                f"{did_you_mean(name, cls.model_fields, cls._below(data))}"
                for name in sorted(map(str, data.keys() - cls.model_fields.keys()))
            ]
            problems += [
                f"{name}: {NO_NUMBER}"
                for name, field in cls.model_fields.items()
                if isinstance(data.get(name), bool) and is_number(field.annotation)
            ]
            if problems:
                raise ConfigError(" ".join(problems))
        return data

    @classmethod
    def _below(cls, data: Mapping[str, Any]) -> Iterator[str]:
        """Paths of the settings in the sections of this one, as `data` has them."""
        for name, field in cls.model_fields.items():
            for kind in (field.annotation, *get_args(field.annotation)):
                if isinstance(kind, type) and issubclass(kind, Config):
                    yield from (f"{name}.{setting}" for setting in kind.model_fields)

    def check(self) -> Iterator[str]:
        """Look at what the section names, before anything runs; yields doubts as sentences.

        Raises:
            PrefoptError: Something is certainly wrong, such as a file that is not there.
        """
        yield from ()

    def key_part(self) -> Any:
        """What enters a stage's cache key: every field but those marked `SpeedOnly`."""
        speed_only = {n for n, f in type(self).model_fields.items() if SPEED_ONLY in f.metadata}
        return self.model_dump(mode="json", exclude=speed_only)

    def to_change(self) -> dict[str, Any]:
        """Every setting, as JSON has it, so that each can be changed alone.

        Where a member is named, its own settings are left out if they are its defaults: one would
        be refused where another member is put in its place.
        """
        sections = {name: value for name, value in self if isinstance(value, Config)}
        dumped = self.model_dump(mode="json", exclude={*sections})
        return dumped | {name: section.to_change() for name, section in sections.items()}


def section_in(annotation: Any) -> type[Config] | None:
    """The kind of section that a setting holds; None if it holds a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return annotation
    return next(filter(None, map(section_in, get_args(annotation))), None)


def problems_of(error: ValidationError) -> list[str]:
    """What pydantic found wrong with a config, a line for each: `selection.k: …`."""
    return [_problem(found) for found in error.errors()]


def _problem(found: ErrorDetails) -> str:
    place = ".".join(map(str, found["loc"]))  # none: a problem of the config as a whole
    said = f"{place}: {found['msg']}{it_is(found)}{_in_quotes(found['type'])}"
    return said.removeprefix(": ").replace("Value error, ", "")


def _in_quotes(kind: str) -> str:
    return ". In YAML put a text that looks like something else in quotes" * (kind == "string_type")


class Backend(Config):
    """A section that names a member of a registry and gives its settings in `params`.

    Attributes:
        registry: The registry.
        choice: Name of the field that holds the member's name, such as `generator`.
        params: The member's settings; defaults are filled in.
    """

    registry: ClassVar[Registry[Any]]
    choice: ClassVar[str]

    params: dict[str, Any] = Field({}, description="Settings of what is chosen here.")

    @model_validator(mode="before")
    @classmethod
    def _complete_params(cls, data: Any) -> Any:
        # Defaults are written out, so that changing one in the code changes the cache key.
        if not isinstance(data, dict) or data.keys() - cls.model_fields.keys():
            return data  # a misspelt name of a field is told first
        name = data.get(cls.choice, cls.model_fields[cls.choice].default)
        params = data.get("params") or {}
        if not isinstance(name, str) or not isinstance(params, dict):
            return data  # the fields say what is wrong
        beside = {*params} & {*cls.model_fields}
        if name in cls.registry and (strays := beside - cls.registry.settings(name).keys()):
            names = ", ".join(sorted(map(repr, strays)))
            raise ConfigError(f"params: {names} stands beside `params`, not in it.")
        return data | {"params": cls.registry.complete_params(name, params)}

    @classmethod
    def _below(cls, data: Mapping[str, Any]) -> Iterator[str]:
        yield from super()._below(data)
        name = data.get(cls.choice, cls.model_fields[cls.choice].default)
        if isinstance(name, str) and name in cls.registry:
            yield from (f"params.{setting}" for setting in cls.registry.settings(name))

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """With the members' names as choices, for forms and editors."""
        schema = handler.resolve_ref_schema(handler(core))
        schema["properties"][cls.choice]["enum"] = sorted(cls.registry)
        return schema

    @model_serializer(mode="wrap")
    def _dumped(self, dump: SerializerFunctionWrapHandler, info: SerializationInfo) -> Any:
        part = dump(self)
        return self.without_news(part) if info.context == IDENTITY else part

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without settings that say what was so before they existed.

        Keys, names and budgets are made of it, so that what is from then stays found.
        """
        return part

    def to_change(self) -> dict[str, Any]:
        """Every setting; of the member's own those that are no defaults."""
        known = self.registry.settings(getattr(self, self.choice))
        changed = {name for name, value in self.params.items() if value != known[name][1]}
        dumped = super().to_change()
        return dumped | {"params": {n: v for n, v in dumped["params"].items() if n in changed}}

    def member(self) -> Callable[..., Any]:
        """The registry's function that this section names, with its settings applied."""
        return self.registry.bind(getattr(self, self.choice), self.params)

    def check(self) -> Iterator[str]:
        """The doubts of the member's companion, see `Registry.check`."""
        yield from self.registry.check(getattr(self, self.choice), self.params)

    def key_part(self) -> Any:
        """What enters the cache key: the fields, with files as their content digests.

        Also the content of a user's `function`, with all it imports from the user's folders, and
        the package and version of a plug-in's member, whose code no stage version covers.
        """
        name = getattr(self, self.choice)
        aside = self.registry.speed_only(name)
        params = {n: value for n, value in self.params.items() if n not in aside}
        for path in self.registry.paths(name):
            if params[path] is not None:
                params[path] = (
                    content_digest(self.registry.file(name, path, params[path])) or params[path]
                )
        for setting, kind in self.registry.sections(name).items():
            params[setting] = [kind.model_validate(each).key_part() for each in params[setting]]
        part = {**super().key_part(), "params": params}
        content = content_of(function := str(params.get("function", "")))
        if content and ".py:" in function:  # wherever the file lies
            params["function"] = function.rpartition(":")[2]
        package = self.registry.package(name)
        return (
            part
            | ({"function_file": content} if content else {})
            | ({"package": package} if package else {})
        )


def asks_a_server(config: Backend) -> bool:
    """Whether the member of a section waits for a server, and may pay it."""
    return not config.params.keys().isdisjoint({"base_url", "api_key_env"})
