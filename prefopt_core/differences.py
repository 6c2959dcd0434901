"""What differs between two sets of settings, in the words a user typed."""

from collections.abc import Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Name every setting whose value differs; inputs are only said to differ.

    >>> differences({"k": 2, "params": {"weight": 0.5}}, {"k": 2, "params": {"weight": 1.0}})
    ['params.weight 0.5 → 1.0']
    """
    old, new = dict(_leaves(before, "")), dict(_leaves(after, ""))
    changes = [
        _change(name, old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    return sorted(changes, key=lambda change: change.startswith("other "))  # settings say more


def _leaves(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping) and not _is_input(value):
        return [
            leaf
            for name, item in value.items()
            for leaf in _leaves(item, f"{path}.{name}" if path else name)
        ]
    return [(path, value)]


def _is_input(value: Any) -> bool:
    """Whether this stands for an artifact or a model, or for several."""
    if isinstance(value, list):
        return any(map(_is_input, value))
    return isinstance(value, Mapping) and bool({"digest", "model"} & value.keys())


def _change(name: str, before: Any, after: Any) -> str:
    if _is_input(before) or _is_input(after):
        return f"other {name}"
    return f"{name.removeprefix('config.')} {_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else text[:39] + "…"
