"""Where a run's settings come from: a YAML file, or a deployment; and changes on top of them."""

import logging
from pathlib import Path
from typing import Any

from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean

log = logging.getLogger(__name__)


def load_run(source: str, changes: dict[str, Any]) -> tuple[str, Experiment]:
    """Find a run by the path of its YAML file or the name of a deployment in `prefect.yaml`.

    Args:
        source: Path or name.
        changes: Dotted setting → value, applied on top: `{"selection.k": 4}`.

    Returns:
        (name of the flow, its config, with a name).

    Raises:
        ConfigError: There is no such file, deployment, flow or path of a setting; or it is a
            comparison.
        pydantic.ValidationError: A setting is not valid.
    """
    settings = read_settings(source)
    for path, value in changes.items():
        set_setting(settings, path.split("."), value)
    if "arms" in settings:
        raise ConfigError(
            f"{source} has `arms`: it is a comparison, not a run. `prefopt compare {source}` "
            "runs it."
        )
    flow = str(settings.pop("flow", None) or _usual_flow(source, settings))
    if flow not in CONFIGS:
        raise ConfigError(f"{source}: there is no flow {flow!r}.{did_you_mean(flow, CONFIGS)}")
    return flow, CONFIGS[flow].model_validate(settings).named(Path(source).stem)


def _usual_flow(source: str, settings: dict[str, Any]) -> str:
    """`align`, of settings that name no flow and could be its own.

    Raises:
        ConfigError: A setting belongs to other flows.
    """
    foreign = [name for name in settings if name not in CONFIGS["align"].model_fields]
    flows = [
        flow for flow, kind in CONFIGS.items() if foreign and {*foreign} <= {*kind.model_fields}
    ]
    if flows:
        raise ConfigError(
            f"{source} names no flow, and {foreign[0]!r} is no setting of `align`. Write "
            f"`flow: {flows[0]}`."
        )
    log.warning("%s names no flow: taken for `flow: align`.", source)
    return "align"


def read_settings(source: str) -> dict[str, Any]:
    """Settings by the path of a YAML file or the name of a deployment in `prefect.yaml`.

    Raises:
        ConfigError: There is neither, or it holds no settings.
    """
    return _yaml(Path(source)) if Path(source).is_file() else _deployment(source)


def _yaml(path: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds no settings. The README has an example to start from.")
    return settings


def _deployment(name: str) -> dict[str, Any]:
    path = Path("prefect.yaml")
    entries = _yaml(path).get("deployments") if path.is_file() else None
    known = {entry["name"]: entry for entry in entries or []}
    if name not in known:
        raise ConfigError(
            f"There is no file {name!r} and no such deployment in prefect.yaml here."
            f"{did_you_mean(name, known)} Give one of them or the path of a YAML file."
        )
    config = (known[name].get("parameters") or {}).get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"Deployment {name!r} in prefect.yaml has no `parameters.config`.")
    return {"flow": str(known[name].get("entrypoint")).rpartition(".")[2], **config}


def set_setting(settings: Any, path: list[str], value: Any) -> None:
    """Set the value at a path through sections and lists, in place.

    Args:
        settings: Nested dictionaries and lists; missing sections are added.
        path: A name for each section, a number for each list.
        value: The new value.

    Raises:
        ConfigError: The path leads through something that is neither, or beyond a list.
    """
    *parents, last = path
    for name in parents:
        key = _key(settings, name, path)
        if isinstance(settings, dict) and settings.get(key) is None:
            settings[key] = {}
        settings = settings[key]
    settings[_key(settings, last, path)] = value


def _key(settings: Any, name: str, path: list[str]) -> str | int:
    """`name` as a key of a section or an index of a list; ConfigError if it is neither."""
    if isinstance(settings, dict):
        return name
    if isinstance(settings, list) and name in map(str, range(len(settings))):
        return int(name)
    what = repr(settings)
    if isinstance(settings, list):
        what = f"a list of {len(settings)}, counted from 0"
    raise ConfigError(
        f"There is no setting {'.'.join(path)!r}: what should hold {name!r} is {what}."
    )
