"""Settings of the sections `prompts` and `seed_preferences`, and of a file of embeddings."""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from prefopt_core.ground.files import content_digest
from prefopt_core.ground.registry import InputPath, Registry
from prefopt_core.ground.settings import Backend, Config
from prefopt_core.inputs import PROMPT_SOURCES


class PromptsConfig(Backend):
    """Where the prompts come from."""

    registry: ClassVar[Registry[Any]] = PROMPT_SOURCES
    choice: ClassVar[str] = "source"

    source: str = Field("file", description="A name from `prefopt list prompts`.")
    shard_size: int = Field(
        64, ge=1, description="Prompts per shard: what a crash can lose. Aim at a minute of work."
    )


class PartConfig(Backend):
    """One of the sources that `mixture` mixes."""

    registry: ClassVar[Registry[Any]] = PROMPT_SOURCES
    choice: ClassVar[str] = "source"

    source: str = Field("file", description="A name from `prefopt list prompts`.")
    share: float = Field(1.0, gt=0, description="Of the mixture, beside those of the other parts.")
    system: str | None = Field(None, description="System message of prompts that bring none.")

    @property
    def named(self) -> str:
        """What it is read from, in words."""
        return str(self.params.get("path") or self.params.get("dataset") or self.source)


class VectorsConfig(Config):
    """A Parquet file of embeddings that the user brings."""

    path: InputPath = Field(description="A .parquet.")
    column: str = Field(description="The column with the vectors.")

    def key_part(self) -> Any:
        """What enters the cache key: the fields, with the file as its content digest."""
        digest = content_digest(Path(self.path))
        return super().key_part() | {"path": digest or self.path}


class StratifiedConfig(VectorsConfig):
    """A Parquet file of embeddings, with a column of strata."""

    strata: str | None = Field(None, description="The column with each row's stratum.")

    @property
    def vectors(self) -> VectorsConfig:
        """The file without its strata: an index does not depend on them."""
        return VectorsConfig(path=self.path, column=self.column)


class AnswersConfig(Config):
    """A file of what a policy answered, which is compared with what others did."""

    path: InputPath = Field(description=".jsonl, .json, .csv or .parquet.")

    def key_part(self) -> Any:
        """What enters the cache key: the file as its content digest."""
        return {"path": content_digest(Path(self.path)) or self.path}


class SeedConfig(Config):
    """A labelled seed: a file of preference pairs with columns prompt, chosen, rejected."""

    path: InputPath = Field(
        description=".jsonl, .json, .csv or .parquet, for instance of `prefopt export`."
    )
    column: str | None = Field(None, description="The prompt's column, if not `prompt`.")

    def key_part(self) -> Any:
        """What enters the cache key: the fields, with the file as its content digest."""
        return self.model_dump() | {"path": content_digest(Path(self.path)) or self.path}
