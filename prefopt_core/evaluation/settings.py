"""Settings of the section `evaluation`. Defaults are the cited paper's unless said otherwise."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from prefopt_core.annotation.settings import AnnotatorConfig, OutsideAnnotatorConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.errors import ConfigError

NOT_THE_POLICY = ("file", "openai")
"""Generators whose responses training does not change."""


class EvaluationConfig(OutsideAnnotatorConfig):
    """Evaluation on held-out prompts by an annotator whose verdicts are no labels."""

    prompts: int = Field(
        200, ge=2, description="Held-out prompts, taken first and used for nothing else."
    )
    generation: GenerationConfig = Field(
        default_factory=lambda: GenerationConfig(n=1),
        description="How the policy answers them: as in `generation` of the run where nothing is "
        "set here, but once each.",
    )
    stop: Literal["never", "worse", "not_better"] = Field(
        "never",
        description="worse: end the run once a round certainly loses against the one before; "
        "not_better: once it does not certainly win. Certain is what the 95 % interval of the win "
        "rate over the previous round says.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The round whose policy the run returns. best: by gold score (by win rate, if "
        "the annotator compares) on the prompts that it was chosen by, so a little too good.",
    )

    @field_validator("generation")
    @classmethod
    def _by_the_policy(cls, generation: GenerationConfig) -> GenerationConfig:
        if generation.generator in NOT_THE_POLICY:
            raise ConfigError(
                f"{generation.generator!r} gives responses that training does not change, so they "
                "say nothing about the policy. Leave the generator out here, or name one that "
                "runs the policy."
            )
        return generation

    @model_validator(mode="after")
    def _of_one_or_two(self) -> "EvaluationConfig":
        if self.asking.ask == "rank":
            raise ConfigError(
                f"Held-out responses are scored one by one or compared by two, and "
                f"{self.annotator!r} is to rank here. Set `evaluation.params.ask` to 'score' or "
                "'compare' (and its `template` to one of that kind), or name another annotator."
            )
        if self.compares and self.generation.n != 1:
            raise ConfigError(
                f"{self.annotator!r} compares a policy's response with another policy's, and "
                f"`evaluation.generation.n` is {self.generation.n}. Set it to 1, or "
                "`evaluation.params.ask` to 'score'."
            )
        return self

    @property
    def compares(self) -> bool:
        """Whether the annotator says which of two is better, and not how good each is."""
        return self.asking.ask == "compare"

    @property
    def grader(self) -> AnnotatorConfig:
        """The annotator alone: the part of this section in the cache key of the stage `grade`."""
        return AnnotatorConfig(annotator=self.annotator, params=self.params)
