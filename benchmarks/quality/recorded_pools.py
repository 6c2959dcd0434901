"""Recorded pools of responses with recorded judgments, as selection strategies see them.

Notation: P prompts of a pool, N distinct responses of one prompt.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.embedding.settings import EmbeddingConfig
from prefopt_core.generation.settings import GenerationConfig
from prefopt_core.ground.vectors import unpack
from prefopt_core.inputs.settings import PromptsConfig
from prefopt_core.selection import Candidates
from prefopt_core.store.store import Store
from tasks.embedding import embed_candidates
from tasks.generation import generate_candidates
from tasks.inputs import load_prompts

FloatArray = npt.NDArray[np.float64]

SEED = 0
CLIP = 1e-7  # the recorded probabilities go down to 3e-8, which is the judge's rounding
FILES = ("pool_alpaca", "pool_mqm", "pool_oasst")


@dataclass(frozen=True)
class Prompt:
    """One prompt's responses, and what was recorded of them; unknown judgments are NaN.

    Attributes:
        candidates: The N distinct responses.
        score: (N,) the label that is bought: logit of the judge's probability, or human score.
        second: (N,) another judgment: an older one (alpaca), or the mean of the scores that other
            raters gave to the same text (mqm).
        length: (N,) log of 1 + characters.
    """

    candidates: Candidates
    score: FloatArray
    second: FloatArray
    length: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    @property
    def similarity(self) -> FloatArray:
        """(N, N) cosine of the responses."""
        return self.candidates.similarity.astype(np.float64)

    def only(self, rows: npt.NDArray[np.intp]) -> "Prompt":
        """The same prompt with some of its responses."""
        known = self.candidates
        assert known.embeddings is not None
        return replace(
            self,
            candidates=_candidates(
                [known.responses[i] for i in rows], known.counts[rows], known.embeddings[rows]
            ),
            score=self.score[rows],
            second=self.second[rows],
            length=self.length[rows],
        )


@dataclass(frozen=True)
class Pool:
    """A pool by name, and how its judgments came about."""

    name: str
    prompts: list[Prompt]
    scored: bool
    unit: str = ""


def load(name: str, data: Path) -> Pool:
    """Read and embed `data/<name>.parquet` through the project's stages, which cache both."""
    path = data / f"{name}.parquet"
    file = GenerationConfig(generator="file", params={"path": str(path), "empty": "drop"})
    prompts = load_prompts(PromptsConfig(params={"path": str(path)}), SEED)
    candidates = generate_candidates(prompts, None, file, SEED)
    embedding = EmbeddingConfig(params={"max_length": 256})  # as when the page was made
    embeddings = embed_candidates(candidates, embedding)
    read = Store.open().read
    ids = read(prompts).select(
        "prompt_id", prompt=pl.col("prompt").list.last().struct.field("content")
    )
    recorded = _recorded(pl.read_parquet(path, glob=False), logit=name == "pool_alpaca").join(
        ids, "prompt"
    )
    responses = (
        read(candidates)
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(pl.col("response").first(), pl.len().alias("count"))
        .join(read(embeddings), "candidate_id", maintain_order="left")
        .join(recorded, ["prompt_id", "response"], maintain_order="left")
    )
    groups = responses.partition_by("prompt_id", maintain_order=True)
    unit = "logit" if name == "pool_alpaca" else "MQM points"
    scored = bool(responses["score"].is_not_nan().any())
    return Pool(name.removeprefix("pool_"), [_prompt(g) for g in groups], scored, unit)


def judged_twice(pool: Pool) -> Pool:
    """The part of a pool that has second judgments: fewer responses, all prompts."""
    parts = [p.only(np.flatnonzero(np.isfinite(p.second))) for p in pool.prompts]
    return Pool(f"{pool.name}, judged twice", parts, True, pool.unit)


def with_choice(pool: Pool, most: int) -> Pool:
    """Only the prompts with more than `most` distinct responses, where all k leave a choice."""
    return replace(pool, prompts=[p for p in pool.prompts if len(p) > most])


def _recorded(rows: pl.DataFrame, *, logit: bool) -> pl.DataFrame:
    """One row per text. Of a text that was scored several times, the first score is for sale."""
    score, second = pl.col("score"), pl.col("score").slice(1).mean()
    if logit:
        clipped = score.clip(CLIP, 1 - CLIP)
        score, second = clipped.log() - (1 - clipped).log(), pl.col("score2").mean()
    return (
        rows.with_columns(score=score)
        .group_by("prompt", "response", maintain_order=True)
        .agg(pl.col("score").first().fill_null(np.nan), second.fill_null(np.nan).alias("second"))
    )


def _prompt(group: pl.DataFrame) -> Prompt:
    vectors = unpack(group["vector"])
    return Prompt(
        candidates=_candidates(
            group["response"].to_list(), group["count"].to_numpy().astype(np.intp), vectors
        ),
        score=group["score"].to_numpy(),
        second=group["second"].to_numpy(),
        length=np.log1p(group["response"].str.len_chars().to_numpy()),
    )


def _candidates(
    responses: list[str], counts: npt.NDArray[np.intp], vectors: npt.NDArray[np.float32]
) -> Candidates:
    return Candidates(responses=responses, counts=counts, embeddings=vectors)
