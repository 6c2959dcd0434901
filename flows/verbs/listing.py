"""The verb `list`: what a config can name, and its sections, with the settings of each."""

from typing import Annotated, Any

from cyclopts import Parameter

from flows.terminal import say
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.experiments.schema import sections
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry, did_you_mean
from prefopt_core.ground.settings import Config


def list_names(
    kind: Annotated[
        str | None,
        Parameter(help="strategies, annotators, …, or a section such as training; all if left out"),
    ] = None,
    /,
) -> None:
    """Print the members of one registry and the settings of one section, or all.

    Raises:
        ConfigError: There is no such kind.
    """
    places = {name: section for section, names in sections().items() for name in names}
    if kind is not None and kind not in FAMILIES and kind not in places:
        raise ConfigError(f"There is no kind {kind!r}.{did_you_mean(kind, {*FAMILIES, *places})}")
    for name in [kind] if kind else FAMILIES:
        if name in FAMILIES:
            say(f"{name}:")
            for member in sorted(FAMILIES[name]):
                _member(FAMILIES[name], member)
    for name in [kind] if kind else [names[0] for names in sections().values()]:
        if name in places:
            _section(name, places[name])


def _member(family: Registry[Any], member: str) -> None:
    try:
        summary, settings = family.summary(member), family.settings(member)
    except ConfigError as error:  # a broken plug-in must not hide other members
        say(f"  {member:<22} {error}")
        return
    origin = f" ({package})" if (package := family.package(member)) else ""
    say(f"  {member:<22} {summary}{origin}")
    speed_only = family.speed_only(member)
    for setting, (_, default) in settings.items():
        value = "required" if default is ... else f"default {default!r}"
        speed = ", changes speed only" if setting in speed_only else ""
        say(f"  {'':<22}   {setting}: {value}{speed}")


def _section(name: str, section: type[Config]) -> None:
    say(f"section {name}:")
    for setting, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = f"default {default!r}"
        if field.is_required():
            value = "required"
        elif isinstance(default, Config):
            value = f"see `prefopt list {name}.{setting}`"
        say(f"  {setting:<22} {value}{'. ' if field.description else ''}{field.description or ''}")
