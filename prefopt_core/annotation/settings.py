"""Settings of `annotation` and `judge`. Defaults are the paper's unless said otherwise."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import Field, StrictBool, field_validator, model_validator

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.asking import ASKING, Asking
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend

T = TypeVar("T")

_HELD_OUT = 0.25
"""The share of labelled pairs that `judge.calibrated: true` holds out."""


class AnnotatorConfig(Backend):
    """Which annotator scores responses, and its settings."""

    registry: ClassVar[Registry[Any]] = ANNOTATORS
    choice: ClassVar[str] = "annotator"
    waits: ClassVar[bool] = False
    """Whether the annotator may answer later."""

    annotator: str = Field(description="A name from `prefopt list annotators`.")

    @field_validator("annotator")
    @classmethod
    def _not_people(cls, annotator: str) -> str:
        if annotator == "people" and not cls.waits:
            raise ConfigError(
                "'people' answer later, and only `annotation` can wait. Ask someone else here: "
                "reward-model, llm-judge or function."
            )
        return annotator

    @property
    def asking(self) -> Asking:
        """How responses become questions to this annotator."""
        return Asking.of(self.params)


class JudgeConfig(AnnotatorConfig):
    """The judge of responses without a paid label: in SPA the policy, by its implicit reward."""

    annotator: str = Field("policy", description="A name from `prefopt list annotators`.")
    reference: Literal["initial", "previous", "none"] = Field(
        "initial",
        description="What the policy's log-probabilities are compared with: those of the start "
        "policy, as in SPA, of the policy before its last training, or nothing.",
    )
    policies: Literal["last", "all"] = Field(
        "last",
        description="Which policies judge: the last one, as in SPA, or all that were trained so "
        "far, by the mean of their implicit rewards.",
    )
    calibrated: StrictBool | Annotated[float, Field(gt=0, lt=1)] = Field(
        False,
        description="Hold a share of the labelled pairs out of all training, true: a quarter; make "
        "the judge's confidence and its liking for length true to these.",
    )

    @model_validator(mode="after")
    def _of_the_policy(self) -> Self:
        if self.annotator != "policy" and (self.calibrated or self.policies == "all"):
            raise ConfigError(
                f"`calibrated` and `policies` are of a policy that judges itself, and the judge is "
                f"{self.annotator!r}. Leave them out, or set `annotator: policy`."
            )
        if self.policies == "all" and self.reference != "initial":
            raise ConfigError(
                "`policies: all` is the mean of rewards over the start policy. Set `reference: "
                "initial`, or `policies: last`."
            )
        if self.calibrated and self.params["length_penalty"]:
            raise ConfigError(
                "`calibrated` finds what length costs. Leave `params.length_penalty` out."
            )
        return self

    @property
    def held_out(self) -> float:
        """The share of labelled pairs that is held out; 0: none."""
        return _HELD_OUT if self.calibrated is True else float(self.calibrated)

    def judging(self, policies: Sequence[T]) -> Sequence[T]:
        """Which of the policies of all rounds so far judge, the start policy first of them."""
        return policies[1:] or policies if self.policies == "all" else policies[-1:]

    def references(self, policies: Sequence[T]) -> Sequence[T]:
        """The policy that log-probabilities are compared with; none or one."""
        at = {"initial": 0, "previous": -2}
        known = self.annotator == "policy" and self.reference in at
        return [policies[at[self.reference]]] if known else []

    def can_judge(self, policies: int) -> bool:
        """Whether the judge can tell responses apart once there are so many policies.

        The policy cannot while it is the start policy: it equals its reference model, and every
        implicit reward is 0.
        """
        return policies > 1 or self.annotator != "policy" or self.reference == "none"

    def without_news(self, part: dict[str, Any]) -> dict[str, Any]:
        """A dump without `policies` and `calibrated`, where these are defaults."""
        usual = {"policies": "last", "calibrated": False}
        return {n: value for n, value in part.items() if n not in usual or value != usual[n]}

    def key_part(self) -> Any:
        """Without who judges and is compared: their log-probabilities are inputs of the stage.

        What is held out to calibrate by is one, too, of the stage that does so.
        """
        part = super().key_part()
        aside = ("reference", "policies", "calibrated")
        return {name: value for name, value in part.items() if name not in aside}


class OutsideAnnotatorConfig(AnnotatorConfig):
    """An annotator that needs the texts alone; `policy` needs log-probabilities."""

    @field_validator("annotator")
    @classmethod
    def _not_the_policy(cls, annotator: str) -> str:
        if annotator == "policy":
            raise ConfigError(
                "'policy' judges by log-probabilities, which only `judge` has. Ask someone else "
                "here: replay, reward-model or function."
            )
        return annotator


class AnnotationConfig(OutsideAnnotatorConfig):
    """Who is paid for labels. One label is one verdict: on a response, a pair or a ranking."""

    waits: ClassVar[bool] = True

    name: str | None = Field(
        None,
        description="Whose labels these are. With a name, labels stay that annotator's when its "
        "settings or its function are edited; without one, an edit makes another annotator, whose "
        "labels are bought anew.",
    )
    guidelines: str = Field(
        "1",
        description="Version of what the annotator was told. Labels are kept for good; change it "
        "when old ones should not count any more.",
    )
    price: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Of one label, in any currency; `max_cost` counts it. What a server is paid "
        "counts by itself.",
    )
    first: Literal["drawn", "least_sure"] = Field(
        "drawn",
        description="Which prompts get a round's labels if there are too few: 'drawn' at random, "
        "or those of whose responses the judge is least sure; the judge labels the others.",
    )
    account: str | None = Field(
        None,
        description="Whose budget: all runs of one account together buy at most `budget` labels "
        "and spend at most `max_cost`. Left out: runs of the same settings.",
    )

    @field_validator("guidelines", mode="before")
    @classmethod
    def _whole_numbers_are_versions(cls, value: Any) -> Any:
        return str(value) if type(value) is int else value

    def key_part(self) -> Any:
        """The cache key, without the price; of an annotator with a name, that alone."""
        if self.name is not None:
            named = {"annotator": self.annotator, "name": self.name}
            asked = {name: self.params[name] for name in ASKING if name in self.params}
            return named | {"guidelines": self.guidelines} | ({"params": asked} if asked else {})
        part = self.content()
        del part["name"], part["price"], part["account"], part["first"]
        return part

    def content(self) -> Any:
        """Settings as their content: a function by what is in its files, wherever they lie."""
        part = super().key_part()
        if "function_file" in part:
            part["params"]["function"] = self.params["function"].rpartition(":")[2]
        return part
