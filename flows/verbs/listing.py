"""The verb `list`: what a config can name, and its sections, with the settings of each."""

import textwrap
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter

from flows.terminal import Terminal, say
from prefopt_core.experiments.families import FAMILIES
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.schema import sections
from prefopt_core.experiments.sources import shipped
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Config

_NAMES = 25
"""Characters before what a name stands for."""


def list_names(
    kind: Annotated[
        str | None,
        Parameter(
            help="flows, presets, strategies, annotators, …, or a flow such as align, or a section "
            "such as training; all if left out"
        ),
    ] = None,
    /,
) -> None:
    """Print what comes with prefopt, the members of registries and the settings of sections.

    Raises:
        ConfigError: There is no such kind.
    """
    known: dict[str, Callable[[], None]] = {"flows": _flows, "presets": _presets}
    known |= {name: partial(_family, name) for name in FAMILIES}
    flows: dict[str, Callable[[], None]] = {
        name: partial(_section, name, own) for name, own in CONFIGS.items()
    }
    places: dict[str, Callable[[], None]] = {
        name: partial(_section, name, own) for own, names in sections().items() for name in names
    }
    shortest = [places[names[0]] for names in sections().values()]
    if kind is None:
        told = [*known.values(), *shortest]
    else:
        told = [group[kind] for group in (known, flows, places) if kind in group]
        if not told:
            near = get_close_matches(kind, {*known, *flows, *places}, n=2, cutoff=0.5)
            guess = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"There is no kind {kind!r}.{guess} `prefopt list` shows all.")
    for tell in told:
        tell()


def _flows() -> None:
    say("flows:")
    for name, config in CONFIGS.items():
        _told(name, (config.__doc__ or "").partition("\n")[0])


def _presets() -> None:
    runs, comparisons = shipped()
    for verb, names in (("run", runs), ("compare", comparisons)):
        say(f"presets, for `prefopt {verb} NAME`:")
        for name, text in names.items():
            _told(name, text)


def _family(name: str) -> None:
    say(f"{name}:")
    for member in sorted(FAMILIES[name]):
        _member(FAMILIES[name], member)


def _told(name: str, text: str, deeper: int = 0) -> None:
    """A name and what it stands for, in lines that the terminal need not break."""
    below = " " * (_NAMES + deeper)
    start = f"  {name} ".ljust(len(below))
    if len(start) > len(below):  # of a long name the text begins below
        say(start.rstrip())
        start = below
    width = Terminal().width
    say(*textwrap.wrap(" ".join(text.split()), width, initial_indent=start,
                       subsequent_indent=below, break_long_words=False))  # fmt: skip


def _member(family: Registry[Any], member: str) -> None:
    try:
        summary, settings = family.summary(member), family.settings(member)
    except ConfigError as error:  # a broken plug-in must not hide other members
        _told(member, str(error))
        return
    origin = f" ({package})" if (package := family.package(member)) else ""
    _told(member, f"{summary}{origin}")
    speed_only = family.speed_only(member)
    for setting, (_, default) in settings.items():
        value = "required" if default is ... else f"default {default!r}"
        speed = ", changes speed only" if setting in speed_only else ""
        _told("", f"{setting}: {value}{speed}", deeper=2)


def _section(name: str, section: type[Config]) -> None:
    say(f"{'flow' if name in CONFIGS else 'section'} {name}:")
    for setting, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value = f"default {default!r}"
        if field.is_required():
            value = "required"
        elif isinstance(default, Config):
            place = setting if name in CONFIGS else f"{name}.{setting}"
            value = f"see `prefopt list {place}`"
        _told(setting, f"{value}{'. ' if field.description else ''}{field.description or ''}")
