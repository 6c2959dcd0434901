"""Settings of `annotation` and `judge`. Defaults are the paper's unless said otherwise."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend


class AnnotatorConfig(Backend):
    """Which annotator scores responses, and its settings."""

    registry: ClassVar[Registry[Any]] = ANNOTATORS
    choice: ClassVar[str] = "annotator"

    annotator: str = Field(description="A name from `prefopt list annotators`.")


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
    """Who is paid for labels. One label is one response scored."""

    guidelines: str = Field(
        "1",
        description="Version of what the annotator was told. Labels are kept for good; change it "
        "when old ones should not count any more, for instance after editing your function.",
    )
    price: float = Field(0.0, ge=0, description="Of one label, for `prefopt plan`; any currency.")

    def key_part(self) -> Any:
        """The cache key, and the identity under which labels are stored.

        Labels are kept for good, and only `guidelines` makes them outdated: the content of a
        function's file is not in the key, but its resolved path is. Nor is the price.
        """
        part = super().key_part()
        del part["price"]
        part.pop("function_file", None)
        file, colon, name = str(self.params.get("function", "")).partition(":")
        if file.endswith(".py"):
            part["params"]["function"] = f"{Path(file).resolve()}{colon}{name}"
        return part
