"""The config of each flow: what a YAML file or a deployment of it holds."""

import re
from dataclasses import replace
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.estimation.settings import EstimationConfig
from prefopt_core.evaluation.settings import NOT_THE_POLICY
from prefopt_core.experiments.base import Experiment, Iterated, Paid, Replay, slug
from prefopt_core.experiments.defaults import Defaults
from prefopt_core.experiments.together import (
    check_estimates,
    check_k,
    refuse_estimates,
    refuse_judges,
    require_win_rates,
)
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError
from prefopt_core.inputs.settings import SeedConfig
from prefopt_core.labels.account import Allowance
from prefopt_core.labels.budget import check_budget
from prefopt_core.models.settings import PolicyConfig
from prefopt_core.selection.settings import SelectionConfig
from prefopt_core.training.settings import TrainingConfig


class AlignConfig(Paid, Iterated):  # fields of the last base come first
    """The joined loop: AEPO chooses what is labelled, SPA labels the rest."""

    embedding: EmbeddingConfig | None = Field(
        default_factory=EmbeddingConfig, description="null if nothing compares by embeddings."
    )

    estimation: EstimationConfig = Field(
        default_factory=EstimationConfig,
        description="Used by strategies that choose by estimated rewards, such as 'dts'.",
    )
    continues: str | None = Field(
        None,
        description="A name such as 'nightly': runs are called nightly-1, nightly-2, … Each starts "
        "from the policy that the newest completed one kept, takes prompts that none has used, has "
        "the same held-out prompts and, with `replay`, trains on all their labelled pairs. Without "
        "enough new prompts it ends at once. `budget` is of each run; name an "
        "`annotation.account` for one budget of all.",
    )

    def number_of(self, name: str | None) -> int:
        """Which of the runs that `continues` is about has a name, from 1; 0: none of them."""
        found = re.fullmatch(rf"{self.continues}-([1-9]\d*)", name or "")
        return int(found[1]) if found else 0

    def named(self, stem: str) -> Self:
        """This config with a name; one that continues runs gets it from the store (`numbered`)."""
        return super().named(stem) if self.continues is None else self

    @property
    def allowance(self) -> Allowance:
        """The budget of the run: also of each that continues another, at whatever settings."""
        own = super().allowance
        if self.continues is None or self.annotation.account:
            return own
        return replace(own, account=f"run {self.name}")

    @property
    def wanted_prompts(self) -> int:
        """The fewest prompts that the run needs; one that has too few to go on with just ends."""
        return 0 if self.number_of(self.name) > 1 else super().wanted_prompts

    @model_validator(mode="after")
    def _consistent(self) -> "AlignConfig":
        if any(r.labels for r in self.rounds):
            check_budget(self.budget, self.fewest_labels)
        check_k(self.generation, self.selection)
        check_estimates(self.selection, self.estimation, self.embedding)
        self._check_names()
        self._check_labels([r.labels for r in self.rounds])
        return self

    def _check_names(self) -> None:
        chain = self.continues
        if chain is None:
            return
        if chain != slug(chain):
            raise ConfigError(
                f"continues: {chain!r} has more than lower-case letters, digits and single dashes. "
                f"Write {slug(chain) or 'nightly'!r}."
            )
        if self.name and not self.number_of(self.name):
            raise ConfigError(
                f"name is {self.name!r}: runs of `continues: {chain}` are called {chain}-1, "
                f"{chain}-2, … Leave `name` out."
            )

    def _check_labels(self, labels: list[int]) -> None:
        if sum(labels) > self.budget:
            raise ConfigError(
                f"The rounds want {sum(labels)} labels and budget is {self.budget}. Raise `budget` "
                "or lower `labels` of the rounds."
            )
        if labels[0] == 0 and not self.judge.can_judge(1):
            raise ConfigError(
                "rounds.0.labels is 0: in the first round the policy cannot judge itself, since it "
                "has learned nothing yet. Buy labels there, or set `judge.reference: none`."
            )
        if self.judge.calibrated and labels[0] < 2 * self.fewest_labels:
            raise ConfigError(
                f"rounds.0.labels is {labels[0]}: `judge.calibrated` holds labelled pairs out of "
                "the first round, which needs labels of two prompts at least: "
                f"{2 * self.fewest_labels}. Raise it, or leave `calibrated` out."
            )
        for number, count in enumerate(labels):
            if 0 < count < (fewest := self.fewest_labels):
                raise ConfigError(
                    f"rounds.{number}.labels is {count}: it cannot pay for the {fewest} labels of "
                    f"one prompt. Set it to 0 or to at least {fewest}."
                )


class AepoConfig(Paid):
    """One round of Annotation-Efficient Preference Optimization, by default as in its paper."""

    defaults: ClassVar[Defaults] = {
        "generation": {"n": 32},
        "training": {
            "learning_rate": 1e-6,
            "scheduler": "linear",
            "learning_rate_warm_up": 0.0167,
            "epochs": 3.0,
            "batch_size": 4,
            "max_length": 512,
            "optimizer": "rmsprop",
            "lora": {},
        },
    }

    policy: PolicyConfig | None = Field(
        None, description="The model; not needed for a data set from existing candidates."
    )
    embedding: EmbeddingConfig | None = Field(
        default_factory=EmbeddingConfig, description="null if nothing compares by embeddings."
    )
    training: TrainingConfig | None = Field(None, description="Left out: only the data set.")

    @model_validator(mode="before")
    @classmethod
    def _prompts_of_the_candidates(cls, data: Any) -> Any:
        # A file of candidates holds its prompts; naming it twice would only invite a difference.
        generation = data.get("generation") if isinstance(data, dict) else None
        if isinstance(generation, dict) and generation.get("generator") == "file":
            params = generation.get("params")
            params = params if isinstance(params, dict) else {}
            source = {name: params[name] for name in ("path", "column") if name in params}
            if params.get("responses"):  # one column may hold one response a row
                source["repeats"] = "drop"
            given = data.get("prompts", {})
            if isinstance(given, dict):
                return data | {"prompts": {"source": "file", "params": source} | given}
        return data

    @model_validator(mode="after")
    def _consistent(self) -> "AepoConfig":
        check_budget(self.budget, self.fewest_labels)
        check_k(self.generation, self.selection)
        refuse_estimates(self.selection)
        if self.policy is None and self.embedding and self.embedding.by_policy:
            raise ConfigError("`embedding.embedder: policy` needs a model: set `policy`.")
        if self.policy is None and (self.training or self.evaluation):
            raise ConfigError("`training` and `evaluation` need a model: set `policy`.")
        if self.training:
            require_win_rates(self.training, self.pairing)
            refuse_judges(self.training)
        if self.annotation.first != "drawn":
            raise ConfigError(
                "`annotation.first: least_sure` needs a judge, which this flow does not have. Use "
                "`align`."
            )
        if self.evaluation and not self.training:
            raise ConfigError("`evaluation` compares a trained policy: set `training` too.")
        return self


class SpaConfig(Iterated):
    """Spread Preference Annotation: a labelled seed, then self-judgment; defaults of its paper."""

    defaults: ClassVar[Defaults] = {
        "generation": {"n": 2, "params": {"temperature": 0.7, "max_new_tokens": 300}},
        "selection": {"strategy": "west_of_n"},
        "training": {"loss": "noise_aware"},
    }

    seed_preferences: SeedConfig | None = Field(
        None,
        description="Labelled pairs, which the policy learns from before it judges. Left out: the "
        "rounds start at once, with a judge that is not the policy.",
    )
    selection: SelectionConfig = Field(
        default_factory=SelectionConfig,
        description="Which of the n responses are judged; all of them in SPA.",
    )
    replay: Replay = Field(
        False,
        description="Train on the seed's pairs again in every round; 0.5: on so many, drawn anew "
        "for each round, that they are that share of its pairs (DICE, arXiv:2406.09760).",
    )
    seed_epochs: float = Field(3.0, gt=0, description="Passes over the seed's pairs; 3 in SPA.")

    @property
    def embedding(self) -> None:
        """Nothing compares by embeddings."""
        return None

    @model_validator(mode="after")
    def _consistent(self) -> "SpaConfig":
        if labels := sum(r.labels for r in self.rounds):
            raise ConfigError(
                f"The rounds want {labels} labels; flow `spa` buys none. Set them to 0 "
                "or use `align`."
            )
        if self.seed_preferences is None and not self.judge.can_judge(1):
            raise ConfigError(
                "Without `seed_preferences` the policy cannot judge itself in the first round: it "
                "has learned nothing yet. Give the pairs, or name another `judge.annotator`."
            )
        if self.seed_preferences is None and self.judge.calibrated:
            raise ConfigError(
                "`judge.calibrated` holds out pairs of `seed_preferences`, and there are none. "
                "Give them, or leave `calibrated` out."
            )
        if self.seed_preferences is None and self.replay:
            raise ConfigError(
                "`replay` trains on the pairs of `seed_preferences` again, and there are none. "
                "Give them, or leave `replay` out."
            )
        check_k(self.generation, self.selection)
        refuse_estimates(self.selection)
        return self


class SpinConfig(AepoConfig):
    """Self-play: labelled responses against the policy's own (SPIN, arXiv:2401.01335)."""

    defaults: ClassVar[Defaults] = {}  # not those of AEPO

    policy: PolicyConfig
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    iterations: int = Field(3, ge=1, description="Rounds of self-play after that of the labels.")

    @model_validator(mode="after")
    def _plays_against_itself(self) -> "SpinConfig":
        if self.generation.generator in NOT_THE_POLICY:
            raise ConfigError(
                f"`spin` plays against the policy's own responses; {self.generation.generator!r} "
                "gives others. Name a generator that runs the policy, or use `aepo`."
            )
        return self

    @property
    def labelled_prompts(self) -> int:
        """Prompts that the budget pays."""
        return self.budget // self.fewest_labels

    @property
    def wanted_prompts(self) -> int:
        """The fewest prompts that the whole run needs."""
        return self.test_prompts + self.labelled_prompts

    @property
    def answers(self) -> GenerationConfig:
        """How the policy answers the labelled prompts: once each."""
        return self.generation.model_copy(update={"n": 1})


CONFIGS: dict[str, type[Experiment]] = {
    "aepo": AepoConfig,
    "align": AlignConfig,
    "spa": SpaConfig,
    "spin": SpinConfig,
}
"""Name of a flow → the class of its config."""
