"""A preset: arms that differ in some settings, each run with several seeds at equal labels."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from prefopt_core.evaluation.settings import EvaluationConfig
from prefopt_core.experiments.anchoring import anchored, resolved
from prefopt_core.experiments.base import Experiment
from prefopt_core.experiments.flows import CONFIGS, AepoConfig, AlignConfig, SpaConfig
from prefopt_core.experiments.sources import read_settings, set_setting
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import did_you_mean
from prefopt_core.ground.settings import Config, problems_of
from prefopt_core.inputs.preferences import read_preferences

SHARED = ("policy", "prompts", "evaluation")
"""Sections of a config that must be equal in all arms: start policy, prompts, evaluation."""


@dataclass(frozen=True)
class Cell:
    """One run of a comparison."""

    arm: str
    flow: str
    config: Experiment

    @property
    def name(self) -> str:
        """Arm and seed, as messages and Prefect show them."""
        return f"{self.arm}, seed {self.config.seed}"

    def settings(self) -> str:
        """The cell as YAML that `prefopt run` takes, wherever the file lies."""
        kind = type(self.config)
        settings = resolved(self.config.model_dump(mode="json"), kind)
        return kind.model_validate(settings).as_yaml(self.flow)


class Comparison(Config):
    """A grid of arms × seeds. Arms share start policy, prompts and evaluation, and labels."""

    title: str = Field("", description="What is compared, in a few words.")
    claim: str = Field("", description="The claim that it examines, as somebody would make it.")
    base: dict[str, Any] = Field(
        description="Settings of a run, with its `flow`; or the path of a YAML file, or the name "
        "of a deployment."
    )
    common: dict[str, Any] = Field(
        default_factory=dict, description="What differs from the base in every arm: `rounds: …`."
    )
    arms: dict[str, dict[str, Any]] = Field(
        description="Name → what differs from the base: `selection.k: 4`. An arm of another `flow` "
        "leaves out what of the base that flow does not know."
    )
    baseline: str = Field(description="The arm that the others are compared with.")
    other_budget: dict[str, str] = Field(
        default_factory=dict,
        description="Arm → why it may have another number of labels than the baseline.",
    )
    against: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Arm → the arm, or arms, that it is compared with in place of the baseline; "
        "[] if with none.",
    )
    lines: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Name → arms that are one method at several budgets: a line over labels in the "
        "plot, in place of a line for each arm's rounds.",
    )
    over: str = Field(
        "",
        description="What the plot runs over in place of labels: `round`, or for `lines` a "
        "setting: `annotation.params.error_rate`. Arms of no line are left out of the plot then.",
    )
    seeds: int = Field(10, ge=1, description="Repetitions of every arm.")
    first_seed: int = Field(0, ge=0, description="Seeds count from here.")

    @field_validator("base", mode="before")
    @classmethod
    def _by_name(cls, base: Any) -> Any:
        return read_settings(base)[0] if isinstance(base, str) else base

    @field_validator("against", mode="before")
    @classmethod
    def _one_or_several(cls, against: Any) -> Any:
        if not isinstance(against, dict):
            return against
        return {arm: [o] if isinstance(o, str) else o for arm, o in against.items()}

    @model_validator(mode="after")
    def _consistent(self) -> "Comparison":
        if len(self.arms) < 2:
            raise ConfigError("arms: Name at least two; one arm alone compares with nothing.")
        if self.baseline not in self.arms:
            raise ConfigError(
                f"baseline: There is no arm {self.baseline!r}."
                f"{did_you_mean(self.baseline, self.arms)}"
            )
        self._only_known_arms()
        cells = {arm: self.cell(arm, self.first_seed) for arm in self.arms}
        for cell in cells.values():
            _check_shared(cell, cells[self.baseline])
        for arm, other in self.matches:
            if not {arm, other} & self.other_budget.keys():
                _check_budget(cells[arm], cells[other])
        self.places()
        return self

    def _only_known_arms(self) -> None:
        named = {
            "other_budget": self.other_budget.keys(),
            "against": {*self.against, *(o for own in self.against.values() for o in own)},
            "lines": {arm for arms in self.lines.values() for arm in arms},
        }
        for setting, arms in named.items():
            for unknown in sorted(arms - self.arms.keys()):
                hint = did_you_mean(unknown, self.arms)
                raise ConfigError(f"{setting}: There is no arm {unknown!r}.{hint}")

    @property
    def matches(self) -> list[tuple[str, str]]:
        """(arm, the arm that it is compared with), in the order of the preset."""
        others = {arm: self.against.get(arm, (self.baseline,)) for arm in self.arms}
        return [(arm, other) for arm, own in others.items() for other in own if arm != other]

    def places(self) -> dict[str, float]:
        """Arm of a line → its value of the setting `over`; {} if that is no setting.

        Raises:
            ConfigError: No arm belongs to a line, or the setting is not a number.
        """
        if self.over in ("", "round"):
            return {}
        if not self.lines:
            raise ConfigError(f"over: Nothing runs over {self.over!r}; say in `lines` what does.")
        arms = dict.fromkeys(arm for arms in self.lines.values() for arm in arms)
        return {arm: self._place(arm) for arm in arms}

    def _place(self, arm: str) -> float:
        value: Any = self.cell(arm, self.first_seed).config.model_dump()
        for name in self.over.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"over: {self.over} of arm {arm!r} is {value}, not a number.")
        return value

    def cells(self) -> Iterator[Cell]:
        """Every run, seed by seed: each finished seed can be compared while others run."""
        for seed in self.all_seeds():
            yield from self.of_seed(seed)

    def all_seeds(self) -> range:
        """The seeds of the repetitions."""
        return range(self.first_seed, self.first_seed + self.seeds)

    def of_seed(self, seed: int) -> list[Cell]:
        """The runs of one seed, one per arm."""
        return [self.cell(arm, seed) for arm in self.arms]

    def cell(self, arm: str, seed: int) -> Cell:
        """The run of one arm with one seed.

        Raises:
            ConfigError: The arm sets a seed or an unknown flow, or its settings are not valid.
        """
        base, changes = _changed(self.base, self.common), self.arms[arm]
        if "seed" in {**self.common, **changes}:
            raise ConfigError(f"arm {arm}: All arms run with the same seeds; leave `seed` out.")
        usual = str(base.pop("flow", "align"))
        flow = str(changes.get("flow", usual))
        for name in (usual, flow):
            if name not in CONFIGS:
                raise ConfigError(
                    f"arm {arm}: There is no flow {name!r}.{did_you_mean(name, CONFIGS)}"
                )
        knows, knew = (CONFIGS[name].model_fields for name in (flow, usual))
        settings = {
            name: value for name, value in base.items() if name in knows or name not in knew
        }
        own = {path: value for path, value in changes.items() if path != "flow"}
        settings = _changed(settings, own) | {"seed": seed}
        try:
            return Cell(arm, flow, CONFIGS[flow].model_validate(settings))
        except ValidationError as error:
            raise ConfigError(f"arm {arm}: {'; '.join(problems_of(error))}") from error


def load_comparison(path: str, changes: dict[str, Any], **more: int) -> Comparison:
    """Read a preset.

    Args:
        path: Of its YAML file; or the name of one that comes with prefopt.
        changes: Dotted setting → value, in every arm that does not set it itself.
        more: Settings of the comparison itself: `seeds`, `first_seed`.

    Raises:
        ConfigError: The file is no preset, or `changes` name the seed.
        pydantic.ValidationError: A setting of the preset or of one of its arms is not valid.
    """
    preset, folder = read_settings(path)
    if "seed" in changes:
        raise ConfigError("seed: A comparison has its own; use --seeds and --first-seed.")
    if "arms" not in preset:
        raise ConfigError(
            f"{path} has no `arms`: it is a run, not a comparison. `prefopt run` runs it; a preset "
            "has `base`, `arms` and `baseline`."
        )
    preset |= _in_place(preset, folder)
    common = preset.get("common") or {}
    if isinstance(common, dict):  # else its field says what is wrong
        common = {name: value for name, value in common.items() if name not in changes} | changes
    return Comparison.model_validate(preset | {"common": common} | more)


def _in_place(preset: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Base, common settings and arms of a preset, with their paths as seen from here."""
    base: Any = preset.get("base")
    common, arms = preset.get("common") or {}, preset.get("arms") or {}
    beside = folder
    if isinstance(base, str):
        base, beside = read_settings(base, folder)
    own = arms.values() if isinstance(arms, dict) else (None,)
    if not all(isinstance(part, dict) for part in (base, common, *own)):
        return {"base": base}  # the fields say what is wrong

    def placed(changes: dict[str, Any], *before: dict[str, Any], start: Path) -> dict[str, Any]:
        settings = reduce(_changed, (*before, changes))
        kind = CONFIGS.get(str(settings.get("flow", "align")), AlignConfig)
        return anchored(changes, settings, kind, start)

    return {
        "base": placed(base, start=beside),
        "common": placed(common, base, start=folder),
        "arms": {arm: placed(own, base, common, start=folder) for arm, own in arms.items()},
    }


def _changed(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy of `settings` with the values of some dotted paths replaced."""
    settings = copy.deepcopy(settings)
    for path, value in changes.items():
        set_setting(settings, path.split("."), copy.deepcopy(value))
    return settings


def labels_of(config: Experiment) -> int:
    """How many labels a run may use, bought or given; a given pair counts 2.

    Raises:
        DataError: The file of given pairs cannot be read.
    """
    match config:
        case AlignConfig():
            return sum(turn.labels for turn in config.rounds)
        case AepoConfig():
            return config.budget
        case SpaConfig():
            seed = config.seed_preferences
            return 2 * read_preferences(Path(seed.path), seed.column).height if seed else 0
    raise TypeError(f"{type(config).__name__} has no count of labels; add one here.")


def _check_shared(cell: Cell, baseline: Cell) -> None:
    if cell.config.evaluation is None:
        raise ConfigError(
            f"arm {cell.arm}: Without `evaluation` there is nothing to compare. Set it in the base."
        )
    if getattr(cell.config, "continues", None):
        raise ConfigError(f"arm {cell.arm}: Arms start from `policy`; leave `continues` out.")
    for name in SHARED:
        if _shared(cell.config, name) != _shared(baseline.config, name):
            raise ConfigError(
                f"arm {cell.arm}: Its {name!r} is not that of {baseline.arm!r}. Arms share it: set "
                f"`{name}` in the base, also what `evaluation.generation` takes from `generation`."
            )


def _shared(config: Experiment, name: str) -> Any:
    """A section of a config as compared between arms; which round a run returns may differ."""
    section = getattr(config, name)
    if isinstance(section, EvaluationConfig):
        return section.model_copy(update={"stop": "never", "keep": "last"})
    return section


def _check_budget(cell: Cell, baseline: Cell) -> None:
    own, other = labels_of(cell.config), labels_of(baseline.config)
    if own != other:
        raise ConfigError(
            f"arm {cell.arm}: It may use {own:,} labels and {baseline.arm!r} {other:,}. Make them "
            f"equal, or say why they differ: `other_budget: {{ {cell.arm}: all there are }}`."
        )
