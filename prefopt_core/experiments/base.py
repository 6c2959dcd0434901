"""What the configs of flows share: all of them, those of several rounds, those that buy labels."""

import re
from typing import Annotated, Any, ClassVar, Self

import yaml
from pydantic import Field, PrivateAttr, field_validator, model_validator

from prefopt_core.annotation.settings import AnnotationConfig, JudgeConfig
from prefopt_core.evaluation.settings import EvaluationConfig
from prefopt_core.execution.settings import ExecutionConfig
from prefopt_core.experiments.anchoring import resolved
from prefopt_core.experiments.defaults import Defaults, heir_of, with_defaults
from prefopt_core.experiments.together import require_judge, require_win_rates
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import SPEED_ONLY, SpeedOnly
from prefopt_core.ground.settings import IDENTITY, Backend, Config
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.labels.account import Allowance
from prefopt_core.lint.settings import LintConfig
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.pairing.settings import PairingConfig
from prefopt_core.pool.settings import PoolConfig
from prefopt_core.scoring.settings import ScoringConfig
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.store.artifacts import sha256_of
from prefopt_core.tracking.settings import TrackingConfig
from prefopt_core.training.settings import TrainingConfig

_LONGEST = 200
"""Characters of a run's name: a folder and locks are named by it, and systems allow 255."""


Replay = bool | Annotated[float, Field(gt=0, lt=1)]


class Round(Config):
    """One turn of the loop."""

    prompts: int = Field(ge=1, description="Fresh prompts.")
    labels: int = Field(0, ge=0, description="Labels bought; the policy judges the other prompts.")
    epochs: float | None = Field(
        None, gt=0, description="Passes over this round's pairs, in place of training's."
    )


class Experiment(Config):
    """Settings that all flows have.

    Attributes:
        defaults: Section → settings that this flow has other defaults of than the section says:
            its paper's. They hold wherever a config leaves them out, also within a section that it
            gives in part; those of `params` if the member chosen has them.
    """

    defaults: ClassVar[Defaults] = {}

    name: str | None = Field(
        None,
        description="Of the run: in Prefect, of its folder and page, for `prefopt show NAME`. Left "
        "out: made of its file, seed and settings.",
    )
    prompts: PromptsConfig
    pool: PoolConfig | None = Field(
        None,
        description="Which prompts deserve the budget, the most wanted first; left out: all, in a "
        "random order.",
    )
    generation: GenerationConfig = Field(default_factory=GenerationConfig)
    scoring: ScoringConfig = Field(default_factory=ScoringConfig)
    pairing: PairingConfig = Field(default_factory=PairingConfig)
    evaluation: EvaluationConfig | None = Field(
        None, description="Without it nothing says whether the policy became better."
    )
    lint: LintConfig = Field(default_factory=LintConfig)
    tracking: TrackingConfig = Field(default_factory=TrackingConfig)
    execution: SpeedOnly[ExecutionConfig] = Field(default_factory=ExecutionConfig)
    seed: int = Field(0, ge=0, description="Root of every random choice in the run.")

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str | None) -> str | None:
        if name is not None and name != slug(name):
            raise ConfigError(
                f"{name!r} has more than lower-case letters, digits and single dashes. Write "
                f"{slug(name) or 'my-run'!r}."
            )
        if name is not None and len(name) > _LONGEST:
            raise ConfigError(f"it has {len(name)} characters; {_LONGEST} may name a folder.")
        return name

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, data: Any) -> Any:
        """Fill in what is left out: defaults of the flow, then what the test takes from the run.

        `evaluation.generation` takes what it does not set from `generation`, but for `n`.
        """
        if not isinstance(data, dict):
            return data
        data = with_defaults(data, cls.defaults, cls)
        evaluation = data.get("evaluation")
        if not isinstance(evaluation, dict):
            return data
        own = evaluation.get("generation")
        inherited = heir_of(data.get("generation", GenerationConfig()), {} if own is None else own)
        return data | {"evaluation": evaluation | {"generation": inherited}}

    @property
    def digest(self) -> str:
        """Digest of all settings but what names, tracks and places runs; whatever the folder."""
        aside = {"name", "continues", "tracking", "execution"}
        settings = self.model_dump(mode="json", exclude=aside, context=IDENTITY)
        return sha256_of(resolved(settings, type(self)))

    def as_yaml(self, flow: str) -> str:
        """All settings, as a file that `prefopt run` takes."""
        settings = {"flow": flow, **self.model_dump(mode="json")}
        return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)

    def named(self, stem: str) -> Self:
        """This config with a name: its own, or one made of `stem`, the seed and the settings."""
        made = f"{slug(stem)[:_LONGEST]}-{self.seed}-{self.digest[:6]}"
        return self.model_copy(update={"name": self.name or made})

    @property
    def allowance(self) -> Allowance | None:
        """The budget of the run; None: it has none."""
        return None

    @property
    def test_prompts(self) -> int:
        """Prompts set aside for evaluation."""
        return self.evaluation.prompts if self.evaluation else 0

    @property
    def wanted_prompts(self) -> int:
        """The fewest prompts that the whole run needs."""
        return self.test_prompts + 1


class Iterated(Experiment):
    """Settings that flows of several rounds have."""

    policy: PolicyConfig
    rounds: tuple[Round, ...] = Field(description="One entry per turn of the loop.")
    judge: JudgeConfig = Field(default_factory=JudgeConfig)
    replay: Replay = Field(
        True,
        description="Train on all labelled pairs again in every round; 0.5: on so many, drawn anew "
        "for each round, that they are that share of its pairs (DICE, arXiv:2406.09760).",
    )
    training: TrainingConfig = Field(default_factory=TrainingConfig)

    @field_validator("rounds")
    @classmethod
    def _at_least_one(cls, rounds: tuple[Round, ...]) -> tuple[Round, ...]:
        # min_length would also complain whenever something within a round is wrong
        if not rounds:
            raise ConfigError("There are none. List at least one, with its `prompts`.")
        return rounds

    @model_validator(mode="after")
    def _pool_is_enough(self) -> "Iterated":
        wanted = sum(r.prompts for r in self.rounds)
        if self.pool and self.pool.count < wanted:
            raise ConfigError(
                f"pool.count is {self.pool.count}: the rounds want {wanted} prompts. Set "
                f"`pool.count` to at least {wanted}, or lower `prompts` of the rounds."
            )
        return self

    @model_validator(mode="after")
    def _sections_go_together(self) -> Self:
        require_win_rates(self.training, self.pairing)
        require_judge(self.judge, self.training, self.pairing)
        return self

    @property
    def wanted_prompts(self) -> int:
        """The fewest prompts that the whole run needs."""
        return self.test_prompts + self.first_prompt(len(self.rounds) + 1)

    def first_prompt(self, round_number: int) -> int:
        """Place of a round's first prompt; those before belong to other rounds."""
        return sum(r.prompts for r in self.rounds[: round_number - 1])


class Paid(Experiment):
    """Settings of flows that buy labels."""

    selection: SelectionConfig = Field(default_factory=SelectionConfig)
    annotation: AnnotationConfig
    budget: int = Field(
        ge=0,
        description="Labels this run may buy, skips included; never exceeded. Until it is "
        "completed, the same command or `name` goes on with the same budget, whatever is edited.",
    )
    max_cost: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        description="Money this run may spend on labels, and on servers that judge and grade, in "
        "the currency of the prices; never exceeded: where it ends, a round goes on with the "
        "labels that are complete, and is not measured by a server. Left out: no limit.",
    )

    @property
    def fewest_labels(self) -> int:
        """Labels that one prompt takes at least."""
        asking, k = self.annotation.asking, self.selection.k
        responses = self.selection.fewest if asking.ask == "score" else asking.labels(k)
        return responses * (asking.people if asking.overlap == 1 else 1)

    _account: str = PrivateAttr("")

    def paid_from(self, account: str) -> Self:
        """This config with the account of the unfinished run that it goes on with."""
        config = self.model_copy()
        config._account = account
        return config

    @property
    def allowance(self) -> Allowance:
        """The budget of the run: that of its account, or of all runs of the same settings.

        Name, budget, price and trackers are not among these settings, nor what is refused of the
        pairs, nor what changes speed only: a raised budget goes on with what is left, at whatever
        concurrency. A file counts by its path, so that an edit of it leaves the budget as it is.
        """
        aside = {"name", "continues", "budget", "max_cost", "lint", "tracking"}
        settings = self.model_dump(mode="json", exclude=aside, context=IDENTITY)
        settings = resolved(settings, type(self))
        del settings["annotation"]["price"]
        _drop_speed_only(self, settings)
        own = self._account or f"run {sha256_of(settings)[:12]}"
        account = self.annotation.account or own
        return Allowance(account, self.budget, self.max_cost)

    @model_validator(mode="after")
    def _gains_are_of_scores(self) -> "Paid":
        if self.annotation.asking.ask != "score" and self.selection.allocation != "fixed":
            raise ConfigError(
                f"`selection.allocation: {self.selection.allocation}` is worth labels of one "
                f"response each; `annotation.params.ask` is {self.annotation.asking.ask!r}. Set "
                "the former to 'fixed' or the latter to 'score'."
            )
        return self


def _drop_speed_only(section: Config, settings: dict[str, Any]) -> None:
    """Delete what changes speed only from the settings of a section, and of those in it."""
    for name, field in type(section).model_fields.items():
        own = getattr(section, name)
        if SPEED_ONLY in field.metadata:
            settings.pop(name, None)  # left out where it has its default
        elif isinstance(own, Config) and name in settings:
            _drop_speed_only(own, settings[name])
            if not settings[name]:
                del settings[name]
    if isinstance(section, Backend):
        for name in section.registry.speed_only(getattr(section, section.choice)):
            del settings["params"][name]


def slug(text: str) -> str:
    """A text as names of runs are, and keys in Prefect: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
