"""Registries: names that a config can use → the functions they stand for, imported when used.

A registry is a dictionary of import paths. Nothing is imported until a name is used, so listing
the generators does not import torch. Other packages (plug-ins) add names by entry points.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import cache, cached_property, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.marks import Sections, Shipped
from prefopt_core.ground.user_errors import blaming

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

PATH = "names a file or folder"
InputPath = Annotated[str, PATH]
"""A setting that may name a file or folder: the cache key has its content digest, not its path."""


SPEED_ONLY = "changes speed only"
SpeedOnly = Annotated[T, SPEED_ONLY]
"""A setting that changes speed or device but not the result; left out of the cache key."""

_SPREAD = "its fields are settings"
Spread = Annotated[T, _SPREAD]
"""A dataclass parameter whose fields are settings; lets several members share them."""

Settings = dict[str, tuple[Any, Any]]
"""Name → (type, default or `...`)."""


class Registry(Mapping[str, F]):
    """`{"name": "package.module:function"}`, resolved when a name is used.

    A registered function obeys one rule: prefopt supplies the parameters before the `*`, the
    config supplies those after it.

    Args:
        kind: Noun for a member in error messages, such as "generator".
        own: Name → import path of each built-in member.
        group: Entry point group by which other packages add members, such as `prefopt.annotators`.

    Raises:
        ConfigError: On use: an unknown name, a plug-in that cannot be loaded, or two packages that
            add the same name.
    """

    def __init__(self, kind: str, own: Mapping[str, str], group: str = "") -> None:
        self.kind, self.group = kind, group
        self._own = dict(own)

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        """Plug-in members: name → entry point of another package."""
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group) if self.group else ():
            other = "prefopt" if point.name in self._own else package_of(found.get(point.name))
            if other:
                raise ConfigError(
                    f"{package_of(point)} adds the {self.kind} {point.name!r}, a name that {other} "
                    "has, too. Uninstall one of them, or rename the entry point."
                )
            found[point.name] = point
        return found

    def __getitem__(self, name: str) -> F:
        if name in self._own:
            return import_function(self._own[name])
        if name not in self._others:
            raise ConfigError(f"Unknown {self.kind} {name!r}.{did_you_mean(name, self)}")
        point = self._others[name]
        try:
            return point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"The {self.kind} {name!r} of {package_of(point)} cannot be loaded from "
                f"{point.value}: {error}. Install what it needs, or mend its entry point."
            ) from error

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._own or name in self._others)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *self._others])

    def __len__(self) -> int:
        return len(self._own) + len(self._others)

    def package(self, name: str) -> str:
        """The package and version that added a name, such as "judges 1.2"; "" if it is ours."""
        return package_of(self._others.get(name)) if name not in self._own else ""

    def summary(self, name: str) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self[name]) or "").partition("\n")[0]

    def settings(self, name: str) -> Settings:
        """Name → (type, default) of its keyword-only parameters: what a config may set."""
        return dict(_settings_of(self[name]))

    def paths(self, name: str) -> list[str]:
        """The settings that name a file or folder."""
        return [
            setting
            for setting, (kind, _) in self.settings(name).items()
            if any(_is(part, PATH) for part in (kind, *get_args(kind)))
        ]

    def sections(self, name: str) -> dict[str, Any]:
        """Setting → the class of the sections that it lists."""
        return {
            setting: mark.kind
            for setting, (kind, _) in self.settings(name).items()
            for mark in getattr(kind, "__metadata__", ())
            if isinstance(mark, Sections)
        }

    def file(self, name: str, setting: str, value: str) -> Path:
        """The file or folder that a setting of a member names, see `paths`."""
        kind, _ = self.settings(name)[setting]
        marks = (mark for mark in getattr(kind, "__metadata__", ()) if isinstance(mark, Shipped))
        return next((mark.path(value) for mark in marks), Path(value))

    def ships(self, name: str, setting: str, value: str) -> bool:
        """Whether a value of such a setting is the name of a file of ours."""
        return self.file(name, setting, value) != Path(value)

    def speed_only(self, name: str) -> set[str]:
        """The settings marked `SpeedOnly`, which enter no cache key."""
        return {s for s, (kind, _) in self.settings(name).items() if _is(kind, SPEED_ONLY)}

    def bind(self, name: str, params: Mapping[str, Any]) -> Callable[..., Any]:
        """The function with its settings applied (`functools.partial`).

        Args:
            name: Of the member.
            params: All its settings, as `complete_params` returns them.
        """
        given = dict(params)
        for p in _keyword_only(self[name]):
            if _is(p.annotation, _SPREAD):
                kind = get_args(p.annotation)[0]
                given[p.name] = kind(**{f.name: given.pop(f.name) for f in fields(kind)})
        function: Callable[..., Any] = self[name]
        if package := self.package(name):
            function = blaming(function, f"The {self.kind} {name!r} of {package}")
        return partial(function, **given) if given else function

    def check(self, name: str, params: Mapping[str, Any]) -> Iterator[str]:
        """What can be said of a member's settings before anything runs: its doubts, as sentences.

        A member `annotate` may have a companion `check_annotate` in its module, which takes some
        of its settings, yields doubts, and raises what is certainly wrong.
        """
        function = self[name]
        module = sys.modules.get(getattr(function, "__module__", ""))
        companion = getattr(module, f"check_{getattr(function, '__name__', '')}", None)
        if companion:
            if package := self.package(name):
                companion = blaming(companion, f"The {self.kind} {name!r} of {package}")
            wanted = inspect.signature(companion).parameters
            yield from companion(**{n: value for n, value in params.items() if n in wanted})

    def complete_params(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Check `params` against the function's keyword-only parameters; fill in defaults.

        Raises:
            ConfigError: A setting is unknown, missing, or of the wrong type or range.
        """
        settings = self.settings(name)
        problems = [
            f"The {self.kind} {name!r} has no setting {unknown!r}.{did_you_mean(unknown, settings)}"
            for unknown in sorted(map(str, params.keys() - settings.keys()))
        ]
        known = {key: value for key, value in params.items() if key in settings}
        problems += [
            f"The {self.kind} {name!r}, setting {setting!r}: {NO_NUMBER}"
            for setting, value in known.items()
            if isinstance(value, bool) and is_number(settings[setting][0])
        ]
        try:
            completed = _model_of(self[name])(**known).model_dump()
        except ValidationError as error:
            problems += [
                f"The {self.kind} {name!r}, setting {problem['loc'][0]!r}: {problem['msg']}"
                f"{it_is(problem)}."
                for problem in error.errors()
            ]
        if problems:
            raise ConfigError(" ".join(problems))
        return completed


def it_is(problem: ErrorDetails) -> str:
    """The value that pydantic complains of, if it fits into a line; our own texts say it."""
    value, of_pydantic = problem["input"], problem["msg"].startswith("Input should")
    short = isinstance(value, str | int | float | None)
    return f"; it is {repr(value)[:60]}" if of_pydantic and short else ""


def import_function(path: str) -> Any:
    """Resolve `package.module:function`."""
    module, _, function = path.partition(":")
    return getattr(importlib.import_module(module), function)


def package_of(point: EntryPoint | None) -> str:
    """The package that an entry point belongs to, and its version; "" for None."""
    if point is None:
        return ""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


@cache
def _settings_of(function: Callable[..., Any]) -> Settings:
    found: Settings = {}
    for p in _keyword_only(function):
        default = ... if p.default is p.empty else p.default
        found |= (
            _spread(p.annotation)
            if _is(p.annotation, _SPREAD)
            else {p.name: (p.annotation, default)}
        )
    return found


@cache  # made anew for each config, it would be nearly all the time that checking one takes
def _model_of(function: Callable[..., Any]) -> type[BaseModel]:
    config = ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
    return create_model("Settings", __config__=config, **_settings_of(function))  # type: ignore[call-overload]


def _keyword_only(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return [p for p in parameters if p.kind is p.KEYWORD_ONLY]


def _is(kind: Any, mark: str) -> bool:
    return mark in getattr(kind, "__metadata__", ())


def _spread(kind: Any) -> Settings:
    """The fields of a `Spread` dataclass as settings."""
    parameters = inspect.signature(get_args(kind)[0], eval_str=True).parameters.values()
    return {p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters}


NO_NUMBER = "Input should be a number; in YAML yes, no, on and off are true and false."


def is_number(kind: Any) -> bool:
    """Whether a setting of this type is a number, for which pydantic would take true as 1."""
    kinds = {*_arms(kind)}
    return bool(kinds & {int, float}) and bool not in kinds


def _arms(kind: Any) -> Iterator[Any]:
    yield kind
    for part in get_args(kind):
        yield from _arms(part) if get_origin(kind) in (Annotated, Union, UnionType) else ()


def did_you_mean(name: str, known: Iterable[str], below: Iterable[str] = ()) -> str:
    """A hint for a misspelt name: the nearest known one, and all there are.

    Args:
        name: As it was written.
        known: The names that there are.
        below: What may have been meant, too, by its path, such as `params.temperature`.

    >>> did_you_mean("temprature", ["generator"], ["params.temperature"])
    " Did you mean 'params.temperature'? Available: generator."
    """
    known = sorted(known)
    paths = {path.rpartition(".")[2]: path for path in below} | {each: each for each in known}
    near = get_close_matches(name, paths, n=1, cutoff=0.5)
    guess = f" Did you mean {paths[near[0]]!r}?" if near else ""
    return f"{guess} Available: {', '.join(known) or 'none'}."
