"""The verb `list`: names of registry members, with the settings of each."""

from typing import Annotated, Any

from cyclopts import Parameter

from flows.terminal import say
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry, did_you_mean


def list_names(
    kind: Annotated[
        str | None, Parameter(help="strategies, annotators, …; all kinds if left out")
    ] = None,
    /,
) -> None:
    """Print the members of one registry, or of all.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind is not None and kind not in FAMILIES:
        raise ConfigError(f"There is no kind {kind!r}.{did_you_mean(kind, FAMILIES)}")
    for name in [kind] if kind else FAMILIES:
        say(f"{name}:")
        for member in sorted(FAMILIES[name]):
            _print(FAMILIES[name], member)


def _print(family: Registry[Any], member: str) -> None:
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
