"""What a config may say, as JSON schema (draft 7): editors complete and check YAML files by it.

It knows names, types and ranges. What settings ask of each other, `prefopt plan` says.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ConfigDict, create_model
from pydantic.json_schema import models_json_schema

from prefopt_core.experiments.flows import CONFIGS, AepoConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend, Config, section_in

Schema = dict[str, Any]


def schema() -> Schema:
    """The schema of a run's YAML file, whatever its flow."""
    _, defined = models_json_schema([(kind, "validation") for kind in CONFIGS.values()])
    definitions: Schema = defined["$defs"]
    sections = {kind.__name__: kind for flow in CONFIGS.values() for kind in sections_of(flow)}
    for name, kind in sections.items():
        if issubclass(kind, Backend):
            definitions[name] |= _choices(kind, {})
            definitions |= _members(kind.registry)
    for flow, config in CONFIGS.items():
        own = definitions[config.__name__]
        own["properties"] = {"flow": {"const": flow}, **own["properties"]}
        for name, usual in config.defaults.items():
            section = section_in(config.model_fields[name].annotation)
            assert section
            definitions[f"{section.__name__}-{flow}"] = _with_defaults(section, usual)
            own["properties"][name] = _moved(own["properties"][name], section.__name__, flow)
        if may_lack(config, "prompts"):
            _excuse_prompts(own)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A run of prefopt",
        "type": "object",
        "properties": {"flow": {"enum": list(CONFIGS), "default": "align"}},
        # Not `oneOf`: an editor would say that none of four fits, and not which setting is wrong.
        "allOf": [
            _if("flow", flow, {"$ref": f"#/$defs/{config.__name__}"}, default="align")
            for flow, config in CONFIGS.items()
        ],
        "$defs": {name: _without_titles(part) for name, part in sorted(definitions.items())},
    }


def may_lack(config: type[Config], name: str) -> bool:
    """Whether a required setting of a flow is taken from a file of candidates, if that is used."""
    return name == "prompts" and issubclass(config, AepoConfig)


def sections_of(kind: type[Config]) -> Iterator[type[Config]]:
    """The sections that a config consists of, at any depth, in their order."""
    for field in kind.model_fields.values():
        if section := section_in(field.annotation):
            yield section
            yield from sections_of(section)


def sections() -> dict[type[Config], list[str]]:
    """Each kind of section → where configs of flows have it, the shortest name first."""
    places: dict[type[Config], list[str]] = {}
    for config in CONFIGS.values():
        for place, kind in _placed(config, ""):
            places.setdefault(kind, [])
            places[kind] += [place] if place not in places[kind] else []
    return {kind: sorted(names, key=len) for kind, names in places.items()}


def _placed(config: type[Config], prefix: str) -> Iterator[tuple[str, type[Config]]]:
    for name, field in config.model_fields.items():
        if section := section_in(field.annotation):
            yield prefix + name, section
            yield from _placed(section, f"{prefix}{name}.")


def member_schema(registry: Registry[Any], name: str) -> Schema:
    """The schema of `params` where that member is chosen."""
    config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=(), extra="forbid")
    model = create_model(name, __config__=config, **registry.settings(name))  # type: ignore[call-overload]
    return model.model_json_schema() | {"description": registry.summary(name)}


def loadable(registry: Registry[Any]) -> Iterator[str]:
    """Its members by name, but those of other packages that cannot be loaded."""
    for name in sorted(registry):
        try:
            registry[name]
        except ConfigError:
            continue
        yield name


def _with_defaults(kind: type[Config], usual: Mapping[str, Any]) -> Schema:
    """The schema of a section in a flow that has defaults of its own for it."""
    own = kind.model_json_schema(ref_template="#/$defs/{model}")
    own.pop("$defs", None)
    own["properties"] = _defaulting(own["properties"], usual)
    return own | (_choices(kind, usual) if issubclass(kind, Backend) else {})


def _defaulting(properties: Schema, usual: Mapping[str, Any]) -> Schema:
    changed = {n: part | {"default": usual[n]} for n, part in properties.items() if n in usual}
    return properties | changed


def _moved(part: Any, name: str, flow: str) -> Any:
    """A part of a schema that refers to a section, with that of a flow in its place."""
    if isinstance(part, list):
        return [_moved(each, name, flow) for each in part]
    if not isinstance(part, Mapping):
        return f"{part}-{flow}" if part == f"#/$defs/{name}" else part
    return {key: _moved(value, name, flow) for key, value in part.items()}


def _choices(kind: type[Backend], usual: Mapping[str, Any]) -> Schema:
    """For a section that names a member: `params` are that member's settings."""
    names = list(loadable(kind.registry))
    own = kind.model_json_schema(ref_template="#/$defs/{model}")
    properties = _defaulting(own["properties"], usual)
    choice = {key: v for key, v in properties[kind.choice].items() if key != "type"}
    rules = []
    for name in names:
        params: Schema = {"$ref": _place(kind.registry, name)}
        settings = kind.registry.settings(name)
        if other := {n: v for n, v in usual.get("params", {}).items() if n in settings}:
            params = {"allOf": [params], "properties": {n: {"default": other[n]} for n in other}}
        then: Schema = {"properties": {"params": params}}
        if member_schema(kind.registry, name).get("required"):
            then["required"] = ["params"]
        rules.append(_if(kind.choice, name, then, default=choice.get("default")))
    return {
        "properties": properties | {kind.choice: choice | {"enum": names}},
        "allOf": rules,
    }


def _members(registry: Registry[Any]) -> Schema:
    return {
        _place(registry, name).rpartition("/")[2]: member_schema(registry, name)
        for name in loadable(registry)
    }


def _place(registry: Registry[Any], name: str) -> str:
    return f"#/$defs/{registry.kind} {name}".replace(" ", "-")


def _if(setting: str, value: str, then: Schema, default: Any) -> Schema:
    """A rule for one value of a setting; that of the default holds where none is given."""
    given = {"properties": {setting: {"const": value}}}
    return {"if": given if value == default else given | {"required": [setting]}, "then": then}


def _excuse_prompts(flow: Schema) -> None:
    """A file of candidates holds its prompts: then `prompts` need not be named."""
    flow["required"].remove("prompts")
    file = {"properties": {"generator": {"const": "file"}}, "required": ["generator"]}
    flow["if"] = {"properties": {"generation": file}, "required": ["generation"]}
    flow["else"] = {"required": ["prompts"]}


def _without_titles(part: Any) -> Any:
    """Pydantic repeats each name as a title, which editors show in place of the description."""
    if isinstance(part, list):
        return [_without_titles(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {
        key: _without_titles(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str))
    }
