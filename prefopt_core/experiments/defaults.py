"""What a config leaves out: defaults of its flow, and what one section takes from another."""

from collections.abc import Mapping
from typing import Any

from prefopt_core.evaluation.settings import NOT_THE_POLICY
from prefopt_core.generation import GENERATORS
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.settings import Backend, Config, section_in

Defaults = Mapping[str, Mapping[str, Any]]
"""Section → what is in it where a config says nothing."""


def with_defaults(
    data: Mapping[str, Any], defaults: Defaults, kind: type[Config]
) -> dict[str, Any]:
    """The settings of a flow, as they are in YAML, with its own defaults filled in.

    A section that is off, left out or null, stays off; one that is no section is left as it is.

    Args:
        data: The settings.
        defaults: The flow's.
        kind: The class of its config.
    """
    filled = dict(data)
    for name, usual in defaults.items():
        field = kind.model_fields[name]
        off = field.get_default(call_default_factory=True) is None
        section, own = section_in(field.annotation), data.get(name, None if off else {})
        if section and isinstance(own, dict):
            filled[name] = _filled(own, usual, section)
    return filled


def _filled(own: dict[str, Any], usual: Mapping[str, Any], kind: type[Config]) -> dict[str, Any]:
    """A section with what it lacks; of `params` what the member that it names has, too."""
    filled, given = {**usual, **own}, own.get("params") or {}
    if "params" not in usual or not isinstance(given, dict):
        return filled
    assert issubclass(kind, Backend)
    member = filled.get(kind.choice, kind.model_fields[kind.choice].default)
    known = kind.registry.settings(member) if member in kind.registry else {}
    params = {name: value for name, value in usual["params"].items() if name in known}
    return filled | {"params": params | given}


def heir_of(usual: Any, own: Any) -> Any:
    """A section `generation` with what it lacks from another: the generator and its settings.

    A generator that does not run the policy is not taken, nor what only another one knows.

    Args:
        usual: The section to take from, in YAML or as a config.
        own: The section, as it is in YAML; anything else is returned as it is.
    """
    usual = usual.model_dump() if isinstance(usual, GenerationConfig) else usual
    if not isinstance(usual, dict) or not isinstance(own, dict):
        return own  # the fields say what is wrong
    fallback = GenerationConfig.model_fields["generator"].default
    theirs = usual.get("generator", fallback)
    name = own.get("generator", fallback if theirs in NOT_THE_POLICY else theirs)
    params, given = own.get("params") or {}, usual.get("params") or {}
    if name not in GENERATORS or not isinstance(params, dict) or not isinstance(given, dict):
        return own
    taken = {key: value for key, value in given.items() if key in GENERATORS.settings(name)}
    return {"n": 1} | own | {"generator": name, "params": taken | params}
