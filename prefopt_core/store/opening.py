"""Open a stage's inputs: artifacts become frames, folders become paths, by parameter type.

type of the parameter     a flow passes     the function gets
pl.DataFrame              an artifact       the whole table
pl.LazyFrame              an artifact       the table, read as far as it is used
Shards                    an artifact       its shards, one in memory at a time
Path                      a folder          its path in the store
list of one of these      a list            a list
Asked[pl.DataFrame]       an Asked          the same with tables; the cache key has its fields
a class with `of(store)`  nothing           `of(store)`; not in the cache key
anything else             a value, config   the same

Optional parameters (`| None`) get None where a flow passes None; an `Asked` is never optional.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin

import polars as pl

from prefopt_core.ground.registry import SPEED_ONLY
from prefopt_core.store.artifacts import Artifact, Folder
from prefopt_core.store.store import Store


@dataclass(frozen=True)
class Shards:
    """A table that is read one shard at a time."""

    store: Store
    artifact: Artifact

    @property
    def rows(self) -> int:
        """Number of rows over all shards."""
        return self.artifact.rows

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for number in range(len(self.artifact.shards)):
            yield self.store.read(self.artifact.shard(number))


def bound(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments by parameter name, with defaults; a dataclass such as `Asked` as its fields."""
    signature, kinds = inspect.signature(function), kinds_of(function)
    passed = [p for name, p in signature.parameters.items() if not _is_made(kinds[name])]
    given = signature.replace(parameters=passed).bind(*args, **kwargs)
    given.apply_defaults()
    arguments: dict[str, Any] = {}
    for name, value in given.arguments.items():
        names = _parts(kinds[name])
        arguments |= {part: getattr(value, part) for part in names} if names else {name: value}
    return arguments


def opened(
    function: Callable[..., Any], store: Store, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """Keyword arguments for `function`: those of its parameters, opened from the store.

    Raises:
        TypeError: A table was passed where a folder is wanted, or the other way round.
    """
    kinds = kinds_of(function)
    return {name: _opened(name, kind, store, arguments) for name, kind in kinds.items()}


@cache
def speed_only(function: Callable[..., Any]) -> set[str]:
    """Names of the parameters marked `SpeedOnly`, which enter no cache key."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {p.name for p in parameters if SPEED_ONLY in getattr(p.annotation, "__metadata__", ())}


@cache
def kinds_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter name → its type, without `| None`."""
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    return {p.name: _without_none(p.annotation) for p in parameters}


def _without_none(kind: Any) -> Any:
    rest = [arm for arm in get_args(kind) if arm is not NoneType]
    return rest[0] if NoneType in get_args(kind) and len(rest) == 1 else kind


def _parts(kind: Any) -> list[str]:
    """Field names of a generic dataclass such as `Asked[pl.DataFrame]`; none of other types."""
    bundle = get_origin(kind)
    return [f.name for f in fields(bundle)] if bundle and is_dataclass(bundle) else []


def _is_made(kind: Any) -> bool:
    return isinstance(kind, type) and hasattr(kind, "of")


def _opened(name: str, kind: Any, store: Store, arguments: Mapping[str, Any]) -> Any:
    if _is_made(kind):
        return kind.of(store)
    if parts := _parts(kind):
        table = get_args(kind)[0]
        return get_origin(kind)(
            **{part: _open(part, table, store, arguments[part]) for part in parts}
        )
    return _open(name, kind, store, arguments[name])


def _open(name: str, kind: Any, store: Store, value: Any) -> Any:
    if value is None or not _wants(kind):
        return value
    if get_origin(kind) is list:
        return [_open(name, get_args(kind)[0], store, item) for item in value]
    match value:
        case Artifact() if kind is pl.DataFrame:
            return store.read(value)
        case Artifact() if kind is pl.LazyFrame:
            return store.scan(value)
        case Artifact() if kind is Shards:
            return Shards(store, value)
        case Folder() if kind is Path:
            return store.open_folder(value)
    raise TypeError(f"{name} is to be opened as {kind.__name__}; a {type(value).__name__} is not.")


def _wants(kind: Any) -> bool:
    """Whether arguments for a parameter of this type are opened from the store."""
    if get_origin(kind) is list:
        return _wants(get_args(kind)[0])
    return kind in (pl.DataFrame, pl.LazyFrame, Shards, Path)
