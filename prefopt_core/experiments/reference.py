"""The reference of every setting, written from the code: a page for people, a schema for editors.

python -m prefopt_core.experiments.reference docs
"""

import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.docstrings import arguments_of, text_before_sections
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.schema import (
    Schema,
    loadable,
    may_lack,
    member_schema,
    schema,
    sections,
)
from prefopt_core.ground.registry import SPEED_ONLY, Registry
from prefopt_core.ground.settings import Backend, Config, section_in

PAGE, SCHEMA = "settings.md", "prefopt.schema.json"
_HEADER = ("setting", "type", "default", "meaning")

_HEAD = """# Settings

Every setting of every section, and of everything that a section can name. This page is written from
the code by `make reference`; a test compares the two. `prefopt list` prints the second half, with
what other packages add.

A setting stands where its heading says: `k` of `selection` is `selection: {k: 4}` in a YAML file,
and `selection.k=4` behind `prefopt run`. In a **section that names a member** the settings of that
member go into `params`: `generation: {generator: transformers, params: {temperature: 0.7}}`.

* **required**: there is no default.
* *speed only*: the setting is in no cache key; change it, and all results are found as before.
* *path*: a file or folder; what is in it counts, not where it lies.

An editor that knows `prefopt.schema.json` completes and checks all this; its first line in a YAML
file is `# yaml-language-server: $schema=` and the path or address of that file.
"""


def write(folder: Path) -> None:
    """Write both files into a folder."""
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")


def texts() -> dict[str, str]:
    """Name of each file → what has to be in it."""
    return {
        PAGE: page(),
        SCHEMA: json.dumps(schema(), indent=1, ensure_ascii=False) + "\n",
    }


def page() -> str:
    """The page for people, in Markdown."""
    parts = [_HEAD, "## Flows", *_flows(), *_sections(), *_families()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


# --- flows -----------------------------------------------------------------------------------


def _flows() -> Iterator[str]:
    usual = schema()["properties"]["flow"]["default"]
    yield f"The top-level setting `flow` names one of these; left out, it is `{usual}`."
    yield "\n".join(f"* `{name}`: {_summary(config)}" for name, config in CONFIGS.items())
    yield (
        "Which settings each has at its top level. A *section* is a group of settings with "
        "defaults of its own, see below; *off*: left out, it does nothing. A flow's own defaults, "
        "its paper's ([papers.md](papers.md)), are named; they hold in parts of sections, too."
    )
    names = dict.fromkeys(name for config in CONFIGS.values() for name in config.model_fields)
    rows = [
        [_named(name), *(_in_flow(config, name) for config in CONFIGS.values()), _meaning(name)]
        for name in names
    ]
    yield _table(["setting", *map(_code, CONFIGS), "meaning"], rows)


def _in_flow(config: type[Experiment], name: str) -> str:
    field = config.model_fields.get(name)
    if field is None:
        return "–"
    if may_lack(config, name):
        return f"{_default(field)} unless `generator: file`"
    section = section_in(field.annotation)
    if field.is_required() or section is None:
        return _default(field)
    value = field.get_default(call_default_factory=True)
    other = ", ".join(_others(config, name))
    return "off" if value is None else f"section, with {other}" if other else "section"


def _others(config: type[Experiment], name: str) -> list[str]:
    """Settings of a section of which a flow has other defaults, with these."""
    leaves = _leaves(config.defaults.get(name, {}))
    return [_code(f"{setting}: {_yaml(value)}") for setting, value in leaves]


def _meaning(name: str) -> str:
    """What a setting of flows means; where they differ, by flow."""
    fields = {flow: c.model_fields[name] for flow, c in CONFIGS.items() if name in c.model_fields}
    said = {flow: _described(field) for flow, field in fields.items()}
    usual = max(said.values(), key=list(said.values()).count)
    return " ".join([usual, *(f"`{flow}`: {s}" for flow, s in said.items() if s != usual)])


def _described(field: FieldInfo) -> str:
    section = section_in(field.annotation)
    return field.description or (_summary(section) if section else "")


# --- sections --------------------------------------------------------------------------------


def _sections() -> Iterator[str]:
    yield "## Sections"
    for kind, (name, *others) in sections().items():
        yield f"### `{name}`"
        also = f" The same settings: {', '.join(map(_code, others))}." if others else ""
        yield _summary(kind) + also
        for flow, config in CONFIGS.items():
            if other := _others(config, name):
                yield f"Other defaults in `{flow}`: {', '.join(other)}."
        properties = kind.model_json_schema()["properties"]
        settings = dict(kind.model_fields)
        if issubclass(kind, Backend):  # what is named comes first, then its settings
            settings = {n: settings[n] for n in dict.fromkeys((kind.choice, "params", *settings))}
        yield _table(
            _HEADER,
            [
                [_code(n), _type(properties[n]), _default(field), _noted(kind, n)]
                for n, field in settings.items()
            ],
        )


def _noted(kind: type[Config], name: str) -> str:
    if issubclass(kind, Backend) and name == kind.choice:
        family = next(name for name, registry in FAMILIES.items() if registry is kind.registry)
        return f"One of the [{family}](#prefopt-list-{family})."
    field = kind.model_fields[name]
    return _described(field) + " *Speed only.*" * (SPEED_ONLY in field.metadata)


# --- members of families ---------------------------------------------------------------------


def _families() -> Iterator[str]:
    yield "# Members"
    yield "What a section can name, by the command that lists it."
    for family, registry in FAMILIES.items():
        yield f"## `prefopt list {family}`"
        bare = [name for name in loadable(registry) if not registry.settings(name)]
        for name in loadable(registry):
            if name not in bare:
                yield f"### {registry.kind} `{name}`"
                yield text_before_sections(registry[name])
                yield _table(_HEADER, _settings(registry, name))
        if bare:
            if len(bare) < len(registry):
                yield "Without settings:"
            yield "\n".join(f"* `{name}`: {registry.summary(name)}" for name in bare)


def _settings(registry: Registry[Any], name: str) -> Iterator[list[str]]:
    properties = member_schema(registry, name)["properties"]
    said, paths, fast = (
        arguments_of(registry[name]),
        registry.paths(name),
        registry.speed_only(name),
    )
    for setting, (_, default) in registry.settings(name).items():
        notes = [said.get(setting, "")]
        notes += ["*Path.*"] * (setting in paths) + ["*Speed only.*"] * (setting in fast)
        shown = "**required**" if default is ... else _code(_yaml(default))
        yield [_code(setting), _type(properties[setting]), shown, " ".join(filter(None, notes))]


# --- values, types, tables -------------------------------------------------------------------


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    section = section_in(field.annotation)
    if isinstance(value, Config) and section:
        return f"its own{_deviation(section, value)}"
    return _code(_yaml(value))


def _deviation(section: type[Config], value: Config) -> str:
    """What a default of a section says other than the section itself."""
    try:
        usual = dict(_leaves(section().model_dump()))
    except ValidationError:
        return ""
    own = _leaves(value.model_dump())
    other = [_code(f"{name}: {_yaml(leaf)}") for name, leaf in own if usual.get(name) != leaf]
    return f", with {', '.join(other)}" if other else ""


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _yaml(value: Any) -> str:
    """A value as one would write it in a YAML file."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, float) and "e" in repr(value):
        digits, _, power = repr(value).partition("e")
        return f"{digits}{'' if '.' in digits else '.0'}e{int(power)}"
    text = str(value)
    plain = isinstance(value, str) and yaml.safe_load(text) == text
    return text if plain else json.dumps(value, ensure_ascii=False)


def _type(part: Schema) -> str:
    """The type of a setting, as a reader says it."""
    if "anyOf" in part:
        return _any_of(map(_type, part["anyOf"]))
    if "enum" in part or "const" in part:
        values = part.get("enum", [part.get("const")])
        return _any_of(_code(_yaml(value)) for value in values)
    match part.get("type"):
        case "integer" | "number" as kind:
            return ("whole number" if kind == "integer" else "number") + _range(part)
        case "array":
            return f"list of {_type(part.get('items', {}))}"
        case "boolean":
            return "`true` or `false`"
        case "null":
            return "`null`"
        case "string":
            return "text"
    return "section" if "$ref" in part else "settings"


def _any_of(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _range(part: Schema) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    above, below = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
    if part["type"] == "integer" and above is not None:
        low, above = above + 1, None
    bounds = {"≥": low, ">": above, "≤": high, "<": below}
    said = [f"{sign} {_yaml(bound)}" for sign, bound in bounds.items() if bound is not None]
    return " " + ", ".join(said) if said else ""


def _summary(kind: type[Config]) -> str:
    return " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())


def _named(name: str) -> str:
    """A setting of a flow, with a link to its section."""
    fields = [c.model_fields[name] for c in CONFIGS.values() if name in c.model_fields]
    sections = [section_in(field.annotation) for field in fields]
    return f"[`{name}`](#{name})" if any(sections) else _code(name)


def _code(text: str) -> str:
    return f"`{text}`"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        sys.exit("usage: python -m prefopt_core.experiments.reference FOLDER")
    write(Path(sys.argv[1]))
