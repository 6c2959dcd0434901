"""Everything a run can be told. Defaults are the cited paper's unless said otherwise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, field_validator

from prefopt_core.annotation import ANNOTATORS
from prefopt_core.embedding import EMBEDDERS
from prefopt_core.generation import GENERATORS
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.files import content_digest
from prefopt_core.ground.registry import Registry
from prefopt_core.ground.settings import Backend, Config
from prefopt_core.inputs import PROMPT_SOURCES
from prefopt_core.models.start import POLICIES
from prefopt_core.pairing import PAIRINGS
from prefopt_core.pool import POOL_STRATEGIES
from prefopt_core.pool.strata import Rule
from prefopt_core.scoring import SCORERS
from prefopt_core.selection import STRATEGIES
from prefopt_core.selection.similarity import SIMILARITIES

T = TypeVar("T")


class PromptsConfig(Backend):
    """Where the prompts come from."""

    registry: ClassVar[Registry[Any]] = PROMPT_SOURCES
    choice: ClassVar[str] = "source"

    source: str = Field("file", description="A name from `prefopt list prompts`.")
    shard_size: int = Field(
        64, ge=1, description="Prompts per shard: what a crash can lose. Aim at a minute of work."
    )


class PolicyConfig(Backend):
    """The model to align, as it is before."""

    registry: ClassVar[Registry[Any]] = POLICIES
    choice: ClassVar[str] = "source"

    source: str = Field("pretrained", description="A name from `prefopt list policies`.")


class GenerationConfig(Backend):
    """Who writes the candidates. SPA samples 2 at temperature 0.7; AEPO up to 128 (METHODS)."""

    registry: ClassVar[Registry[Any]] = GENERATORS
    choice: ClassVar[str] = "generator"

    generator: str = Field("transformers", description="A name from `prefopt list generators`.")
    n: int = Field(8, ge=1, description="Responses per prompt. `file` gives all there are.")


class EmbeddingConfig(Backend):
    """What makes two responses alike. all-MiniLM-L6-v2 as in AEPO's code."""

    registry: ClassVar[Registry[Any]] = EMBEDDERS
    choice: ClassVar[str] = "embedder"

    embedder: str = Field(
        "sentence-transformers", description="A name from `prefopt list embedders`."
    )


class SimilarityConfig(Backend):
    """When two responses to a prompt are alike. AEPO's code knows embeddings, BLEU, BERTScore."""

    registry: ClassVar[Registry[Any]] = SIMILARITIES
    choice: ClassVar[str] = "measure"

    measure: str = Field("cosine", description="A name from `prefopt list similarities`.")


class SelectionConfig(Backend):
    """Which responses are worth a label (AEPO, arXiv:2405.13541)."""

    registry: ClassVar[Registry[Any]] = STRATEGIES
    choice: ClassVar[str] = "strategy"

    strategy: str = Field("aepo", description="A name from `prefopt list strategies`.")
    k: int = Field(2, ge=2, description="Responses labelled per prompt; 2 in the paper.")
    similarity: SimilarityConfig = Field(
        default_factory=SimilarityConfig, description="What the strategy compares responses by."
    )
    allocation: Literal["fixed", "coverage", "objective"] = Field(
        "fixed",
        description="fixed: k labels for each of as many prompts as the budget pays, at random. "
        "Else 2 to k labels for those prompts where they add most to the coverage of what was "
        "sampled, or to AEPO's objective.",
    )

    @property
    def fewest(self) -> int:
        """Labels that one prompt takes at least."""
        return self.k if self.allocation == "fixed" else 2

    def key_part(self) -> Any:
        """The part of the similarity is its own: it may name files."""
        return super().key_part() | {"similarity": self.similarity.key_part()}


class VectorsConfig(Config):
    """Embeddings in a Parquet file of the user's."""

    path: str = Field(description="A .parquet.")
    column: str = Field(description="The column with the vectors.")
    strata: str | None = Field(None, description="The column with each row's stratum.")

    def key_part(self) -> Any:
        """The file counts by what is in it."""
        digest = content_digest(Path(self.path))
        return super().key_part() | {"path": digest or self.path}


class PoolConfig(Backend):
    """Which of many prompts deserve the budget, before anything is generated for them."""

    registry: ClassVar[Registry[Any]] = POOL_STRATEGIES
    choice: ClassVar[str] = "strategy"

    strategy: str = Field(
        "facility_location", description="A name from `prefopt list pool-strategies`."
    )
    count: int = Field(ge=1, description="Prompts to keep.")
    near_duplicates: float | None = Field(
        0.95,
        gt=0,
        le=0.999,
        description="Cosine from which one prompt stands for another; null keeps all.",
    )
    rule: Rule = Field(
        "proportional", description="Share of a stratum: by its size, its root, or equal."
    )
    embedding: EmbeddingConfig = Field(
        default_factory=EmbeddingConfig, description="What makes two prompts alike."
    )

    def key_part(self) -> Any:
        """How prompts were embedded is known by the embeddings."""
        part = super().key_part()
        del part["embedding"]
        return part


class AnnotatorConfig(Backend):
    """Who says how good a response is."""

    registry: ClassVar[Registry[Any]] = ANNOTATORS
    choice: ClassVar[str] = "annotator"

    annotator: str = Field(description="A name from `prefopt list annotators`.")


class JudgeConfig(AnnotatorConfig):
    """Who judges what no label was bought for: in SPA the policy itself, against where it began."""

    annotator: str = Field("policy", description="A name from `prefopt list annotators`.")
    reference: Literal["initial", "previous", "none"] = Field(
        "initial",
        description="What the policy's log-probabilities are compared with: those of the start "
        "policy, as in SPA, of the policy before its last training, or nothing.",
    )

    def against(self, policies: Sequence[T]) -> T | None:
        """The reference among the policies so far: the start policy first, the judge last."""
        place = {"initial": 0, "previous": -2}.get(self.reference)
        return None if place is None or self.annotator != "policy" else policies[place]

    def can_judge(self, policies: int) -> bool:
        """Whether there is an opinion after so many policies; the first differs from none."""
        return policies > 1 or self.annotator != "policy" or self.reference == "none"

    def key_part(self) -> Any:
        """The reference is known by its log-probabilities."""
        part = super().key_part()
        del part["reference"]
        return part


class OutsideAnnotatorConfig(AnnotatorConfig):
    """Who says so from the texts alone."""

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
        """Labels are for good: `guidelines` says when they are outdated, not an edit of a file.

        A function in a file is known by where the file lies, however that was written.
        """
        part = super().key_part()
        part.pop("function_file", None)
        file, colon, name = str(self.params.get("function", "")).partition(":")
        if file.endswith(".py"):
            part["params"]["function"] = f"{Path(file).resolve()}{colon}{name}"
        return part


class ScoringConfig(Backend):
    """Who computes log-probabilities of given responses: for SPA's judge and DPO's reference."""

    registry: ClassVar[Registry[Any]] = SCORERS
    choice: ClassVar[str] = "scorer"

    scorer: str = Field("transformers", description="A name from `prefopt list scorers`.")


class PairingConfig(Backend):
    """How scores become pairs. Best against worst in both papers."""

    registry: ClassVar[Registry[Any]] = PAIRINGS
    choice: ClassVar[str] = "rule"

    rule: str = Field("best_against_worst", description="A name from `prefopt list pairings`.")
    keep: float = Field(
        1.0, gt=0, le=1, description="Share of self-labelled pairs kept, most confident first."
    )


class EvaluationConfig(OutsideAnnotatorConfig):
    """How good the policy is on prompts it never saw, by an annotator that costs nothing."""

    prompts: int = Field(
        200, ge=2, description="Held-out prompts, taken first and used for nothing else."
    )
    generation: GenerationConfig = Field(
        default_factory=lambda: GenerationConfig(n=1), description="How the policy answers them."
    )
    stop: Literal["never", "worse", "not_better"] = Field(
        "never",
        description="worse: end the run once a round certainly loses against the one before; "
        "not_better: once it does not certainly win. Certain is what the 95 % interval of the win "
        "rate over the previous round says.",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="The round whose policy the run returns. best: by gold score, on the prompts "
        "that it was chosen by, so a little too good.",
    )

    @field_validator("generation")
    @classmethod
    def _by_the_policy(cls, generation: GenerationConfig) -> GenerationConfig:
        if generation.generator in ("file", "openai"):
            raise ConfigError(
                f"{generation.generator!r} gives responses that training does not change, so they "
                "say nothing about the policy. Leave the generator out here, or name one that "
                "runs the policy."
            )
        return generation

    @property
    def grader(self) -> AnnotatorConfig:
        """The annotator alone, so that other settings here do not grade again."""
        return AnnotatorConfig(annotator=self.annotator, params=self.params)


class Round(Config):
    """One turn of the loop."""

    prompts: int = Field(ge=1, description="Fresh prompts.")
    labels: int = Field(0, ge=0, description="Labels bought; the policy judges the other prompts.")
    epochs: float | None = Field(
        None, gt=0, description="Passes over this round's pairs, in place of training's."
    )
