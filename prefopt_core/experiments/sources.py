"""Where a run's settings come from: a YAML file, or a name; and changes on top of them."""

import copy
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prefopt_core.experiments.anchoring import anchored
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.flows import CONFIGS
from prefopt_core.experiments.yaml_text import read_yaml
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean

log = logging.getLogger(__name__)

_HERE = Path(__file__)
SHIPPED = next(
    folder
    for folder in (_HERE.with_name("shipped"), _HERE.parents[2])
    if (folder / "prefect.yaml").is_file()
)
"""Where prefopt's own `prefect.yaml` and presets lie: in a wheel here, else in the checkout."""


def load_run(source: str | Mapping[str, Any], changes: Mapping[str, Any]) -> tuple[str, Experiment]:
    """Find a run by the path of its YAML file or its name, see `read_settings`.

    Args:
        source: Path or name; or settings as in a file, of which relative paths start from the
            working folder.
        changes: Dotted setting → value, applied on top: `{"selection.k": 4}`. Relative paths in
            them start from the working folder, those in the file from the file's own.

    Returns:
        (name of the flow, its config, with a name).

    Raises:
        ConfigError: There is no such file, name, flow or path of a setting; or it is a
            comparison.
        pydantic.ValidationError: A setting is not valid.
    """
    if isinstance(source, str):
        name, (settings, folder) = source, read_settings(source)
    else:
        name, settings, folder = "The dictionary", copy.deepcopy(dict(source)), Path()
    if "arms" in settings:
        raise ConfigError(
            f"{name} has `arms`: it is a comparison, not a run. `prefopt compare {name}` runs it."
        )
    said = settings.pop("flow", None)
    flow = str(changes.get("flow") or said or _usual_flow(name, settings))
    if flow not in CONFIGS:
        raise ConfigError(f"{name}: there is no flow {flow!r}.{did_you_mean(flow, CONFIGS)}")
    settings = anchored(settings, settings, CONFIGS[flow], folder)
    for path, value in changes.items():
        if path != "flow":
            before = set_setting(settings, path.split("."), value)
            if not _of_another_member(path, changes):
                _warn_of_replaced(path, before, value)
    stem = Path(source).stem if isinstance(source, str) else flow
    return flow, CONFIGS[flow].model_validate(settings).named(stem)


def _of_another_member(path: str, changes: Iterable[str]) -> bool:
    """Whether a change gives the settings of a member that another change puts there."""
    section, _, name = path.rpartition(".")
    return name == "params" and any(c != path and c.startswith(f"{section}.") for c in changes)


def _warn_of_replaced(section: str, before: Any, after: Any) -> None:
    """Say which settings of a section go when a change replaces it as a whole."""
    if isinstance(before, dict) and isinstance(after, dict) and (gone := before.keys() - after):
        name = next(iter(after), min(gone))
        log.warning(
            "`%s={…}` replaces the whole section: what the config says of %s does not count, and "
            "defaults are in its place. To change one setting and keep the others, write "
            "`%s.%s=…`.",
            section, " and ".join(f"`{each}`" for each in sorted(gone)), section, name,
        )  # fmt: skip


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


def read_settings(source: str, beside: Path = Path()) -> tuple[dict[str, Any], Path]:
    """Settings by the path of a YAML file, or the name of a deployment or of a preset.

    A name is looked for in the `prefect.yaml` here, then among the runs and presets that come with
    prefopt.

    Args:
        source: Path or name.
        beside: The folder that a relative path starts from.

    Returns:
        (settings, the folder that relative paths in them start from).

    Raises:
        ConfigError: There is neither, or it holds no settings.
    """
    try:
        is_file = (beside / source).is_file()
    except OSError as error:  # no name that a file can have
        raise ConfigError(f"{source[:40]}… cannot be read: {error.strerror}.") from error
    if is_file:
        return _yaml(beside / source), (beside / source).parent
    if (beside / source).is_dir():
        raise ConfigError(f"{source} is a folder. Name the YAML file in it, as {source}/run.yaml.")
    known: dict[str, Any] = {}
    for folder in (Path(), SHIPPED):
        entries = _deployments(folder / "prefect.yaml")
        if source in entries:
            return _deployment(source, entries[source]), folder
        known |= entries
    presets = {path.stem: path for path in (*_presets(), *_presets("recipes"))}
    if source in presets:
        return _yaml(presets[source]), presets[source].parent
    raise ConfigError(
        f"There is no file {source!r}, no such deployment in a prefect.yaml here, and nothing of "
        f"that name comes with prefopt.{did_you_mean(source, {*known, *presets})} Give one of them "
        "or the path of a YAML file."
    )


def shipped() -> tuple[dict[str, str], dict[str, str]]:
    """What comes with prefopt, by its name, and what it is: runs, and comparisons.

    A recipe, a run in a file of its own, is what its first line says.
    """
    entries = _deployments(SHIPPED / "prefect.yaml")
    runs = {name: str(entry.get("description", "")) for name, entry in entries.items()}
    for path in _presets("recipes"):
        runs[path.stem] = path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")
    return runs, {path.stem: str(_yaml(path).get("title", "")) for path in _presets()}


def _presets(folder: str = "") -> list[Path]:
    return sorted((SHIPPED / "presets" / folder).glob("*.yaml"))


def _yaml(path: Path) -> dict[str, Any]:
    try:
        settings = read_yaml(path.read_text(encoding="utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path} holds no settings. `prefopt init` writes some to start from.")
    return settings


def _deployments(path: Path) -> dict[str, Any]:
    """Name → entry of the deployments in a prefect.yaml, if there is one."""
    entries = _yaml(path).get("deployments") if path.is_file() else None
    return {entry["name"]: entry for entry in entries or []}


def _deployment(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    config = (entry.get("parameters") or {}).get("config")
    if not isinstance(config, dict):
        raise ConfigError(f"Deployment {name!r} in prefect.yaml has no `parameters.config`.")
    return {"flow": str(entry.get("entrypoint")).rpartition(".")[2], **config}


def set_setting(settings: Any, path: list[str], value: Any) -> Any:
    """Set the value at a path through sections and lists, in place; returns what was there.

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
    key = _key(settings, last, path)
    before = settings.get(key) if isinstance(settings, dict) else settings[key]
    settings[key] = value
    return before


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
