"""Settings of `annotation` and `judge`. Defaults are the paper's unless said otherwise."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.annotation.asking import ASKING, Asking
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend


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

    def can_judge(self, policies: int) -> bool:
        """Whether the judge can tell responses apart once there are so many policies.

        The policy cannot while it is the start policy: it equals its reference model, and every
        implicit reward is 0.
        """
        return policies > 1 or self.annotator != "policy" or self.reference == "none"

    def key_part(self) -> Any:
        """The reference model is not in the cache key: its log-probabilities are, as an input."""
        part = super().key_part()
        del part["reference"]
        return part


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
