"""Relative paths in settings: they mean the folder of the file that names them."""

import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import PATH, Registry
from prefopt_core.ground.settings import Backend, Config

_FILES = (".py", ".jsonl", ".csv", ".parquet", ".json", ".jinja", ".txt", ".md", ".yaml")
"""Endings of what is a file and no name of the hub, even if it is not there."""
Place = tuple[str, ...]
"""Names of the sections that lead to a setting, and its own."""


def anchored(
    changes: Mapping[str, Any], settings: Any, kind: type[Config], folder: Path
) -> dict[str, Any]:
    """Put a folder before the relative paths among some changes of settings.

    Args:
        changes: Dotted setting → value, or section → its settings.
        settings: What they come to, in sections: which files a member reads depends on the member.
        kind: The class of these settings.
        folder: Of the file that says the changes.

    Returns:
        The changes, with paths as seen from the working folder. Names that are no files there, as
        those of the hub, stay as they are.

    Raises:
        ConfigError: A path leads nowhere from `folder`, but to a file from the working folder.
    """
    if folder.resolve() == Path.cwd():
        return dict(changes)
    places = [*_files(settings, kind)]
    return {
        name: _moved(value, tuple(str(name).split(".")), places, partial(_from, folder))
        for name, value in changes.items()
    }


def resolved(settings: dict[str, Any], kind: type[Config]) -> dict[str, Any]:
    """Settings with whole paths in place of relative ones: the same in every working folder."""
    places = [*_files(settings, kind)]
    return {name: _moved(value, (str(name),), places, _whole) for name, value in settings.items()}


def _moved(value: Any, at: Place, places: list[Place], move: Callable[[str], str]) -> Any:
    """`value`, which stands at a place, with the paths in it moved."""
    if isinstance(value, str) and at in places:
        return move(value)
    if isinstance(value, dict):
        return {key: _moved(own, (*at, str(key)), places, move) for key, own in value.items()}
    if isinstance(value, list):
        return [_moved(own, (*at, str(i)), places, move) for i, own in enumerate(value)]
    return value


def _from(folder: Path, value: str) -> str:
    """A path, or a function of a file, as seen from the working folder."""
    path, rest = _split(value)
    if os.path.exists(folder / path) or (Path(path).suffix in _FILES and not os.path.exists(path)):
        return f"{folder / path}{rest}"
    if os.path.exists(path) and not Path(path).is_absolute():
        raise ConfigError(
            f"There is no {path!r} in {folder}, the folder of the config that names it; there is "
            "one in the working folder. Paths in a config start from its own folder: move the file "
            f"there, or write {str(Path(path).resolve())!r}."
        )
    return value


def _whole(value: str) -> str:
    path, rest = _split(value)
    return f"{Path(path).resolve()}{rest}" if os.path.exists(path) else value


def _split(value: str) -> tuple[str, str]:
    """(path, "" or ":function")."""
    path, colon, function = value.rpartition(":") if ".py:" in value else (value, "", "")
    return path, f"{colon}{function}"


def _files(settings: Any, kind: type[Config]) -> Iterator[Place]:
    """Where in some settings a file or folder is named."""
    if not isinstance(settings, dict):
        return
    for name, field in kind.model_fields.items():
        if PATH in field.metadata:
            yield (name,)
        for section in _sections(field.annotation):
            yield from ((name, *place) for place in _files(settings.get(name), section))
    if issubclass(kind, Backend):
        member = settings.get(kind.choice, kind.model_fields[kind.choice].default)
        yield from (("params", *place) for place in _files_of(kind.registry, member, settings))


def _files_of(registry: Registry[Any], member: Any, section: dict[str, Any]) -> Iterator[Place]:
    """The settings of a member that name a file here, or a function in one."""
    params = section.get("params")
    if member not in registry or not isinstance(params, dict):
        return
    for name in registry.paths(member):
        value = params.get(name)
        if isinstance(value, str) and not registry.ships(member, name, value):
            yield (name,)
    if ".py:" in str(params.get("function")):
        yield ("function",)
    for name, kind in registry.sections(member).items():
        listed = params.get(name)
        for number, own in enumerate(listed if isinstance(listed, list) else ()):
            yield from ((name, str(number), *place) for place in _files(own, kind))


def _sections(annotation: Any) -> Iterator[type[Config]]:
    if isinstance(annotation, type) and issubclass(annotation, Config):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)
