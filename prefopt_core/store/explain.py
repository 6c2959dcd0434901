"""Explain a cache miss: name the settings that differ between two sets of stage inputs."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prefopt_core.ground.foreign import cut, visible
from prefopt_core.store.artifacts import DIGEST
from prefopt_core.store.manifests import Manifest

_UNSET = object()


def changed_settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name every setting whose value differs; of artifacts and files only that they differ.

    Args:
        before: Inputs of an earlier run of the stage, as its manifest has them.
        after: Inputs of this run.

    Returns:
        A text per difference, settings first.

    >>> changed_settings({"k": 2, "params": {"weight": 0.5}}, {"k": 2, "params": {"weight": 1.0}})
    ['params.weight 0.5 → 1.0']
    """
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    pairs = {n: (old.get(n, _UNSET), new.get(n, _UNSET)) for n in sorted(old.keys() | new.keys())}
    changes = [
        _change(name, was, now)
        for name, (was, now) in pairs.items()
        if (type(was), was) != (type(now), now)  # as in a key: 1 is not 1.0
    ]
    return sorted(changes, key=lambda change: change.startswith("other "))  # settings first


def changes_since(
    earlier: Manifest, version: int, inputs: Mapping[str, Any], limits: Mapping[str, Any]
) -> list[str]:
    """Name what differs from an earlier run of a stage; `limits` only if that was cut short."""
    cut_short = earlier.inputs.keys() & limits
    changes = changed_settings(earlier.inputs, {**inputs, **limits} if cut_short else inputs)
    versions = [f"version {earlier.version} → {version}"] if earlier.version != version else []
    return versions + changes


def nearest(changes: Iterable[list[str]]) -> str:
    """The fewest of the changes from earlier runs, in words.

    >>> nearest([["k 2 → 3", "seed 0 → 1"], ["k 4 → 3"]])
    'k 4 → 3'
    """
    fewest = min(changes, key=len, default=None)
    if fewest is None:
        return "first run"
    more = f" and {len(fewest) - 3} more" if len(fewest) > 3 else ""
    return ", ".join(fewest[:3]) + more or "inputs that look the same and are not"


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and not _is_input(value):
        return [
            leaf
            for name, item in value.items()
            for leaf in _leaves(item, f"{path}.{name}" if path else name)
        ]
    return [(path, value)]


def _is_input(value: Any) -> bool:
    """Whether a value of a key is an artifact, a folder or a file's digest, or a list of these."""
    if isinstance(value, list):
        return any(map(_is_input, value))
    if isinstance(value, Mapping):
        return value.keys() in ({"table", "digest"}, {"model"}) and any(
            map(_is_input, value.values())
        )
    return isinstance(value, str) and re.fullmatch(DIGEST, value) is not None


def _change(name: str, before: Any, after: Any) -> str:
    name = name.removeprefix("config.")
    if _is_input(before) or _is_input(after):
        return f"other {name}"
    return f"{name} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = "unset" if value is _UNSET else "none" if value is None else str(value)
    text = visible(" ".join(text.split()))
    return cut(text, 40)
