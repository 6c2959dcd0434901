"""What verdicts say about responses: a score of each, and P(one better than another)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray


@dataclass(frozen=True)
class Evidence:
    """What the verdicts on one prompt say.

    Attributes:
        prompt_id: The prompt.
        responses: Candidate ids of the k responses about which something is said.
        scores: (k,) the mean score of each; of comparisons and rankings the mean P(better than
            another) over those it was compared with.
        probabilities: (k, k) at i, j: P(i better than j), the mean of the verdicts on the two, ties
            as ½; nan where they were not compared. None if each response was scored by itself.
    """

    prompt_id: str
    responses: list[str]
    scores: list[float]
    probabilities: FloatArray | None = None


def rater() -> pl.Expr:
    """Who gave a verdict: the annotator, and of several people or models which one."""
    several = pl.concat_str("annotator", "by", separator=": ")
    return pl.when(pl.col("by") == "").then("annotator").otherwise(several).alias("rater")


def scored(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The scores of responses that were shown alone: prompt_id, candidate_id, rater, score.

    Scores of a comparison or a ranking are left out: they say which is better, not how good.
    """
    alone = verdicts.filter(pl.col("scores").is_not_null() & (pl.col("responses").list.len() == 1))
    return alone.select(
        "prompt_id",
        pl.col("responses").list.first().alias("candidate_id"),
        rater(),
        pl.col("scores").list.first().alias("score"),
    )


def scores_in(verdicts: pl.DataFrame) -> pl.DataFrame:
    """The mean score of each response that was scored by itself.

    Args:
        verdicts: Table `verdicts`.

    Returns:
        prompt_id, candidate_id, score; in the order of the table.
    """
    return (
        scored(verdicts)
        .group_by("prompt_id", "candidate_id", maintain_order=True)
        .agg(pl.col("score").mean())
    )


def evidence_in(verdicts: pl.DataFrame) -> Iterator[Evidence]:
    """What is said about the responses to each prompt; nothing about prompts with no evidence.

    Where responses were compared or ranked, scores of single ones are left out.

    Args:
        verdicts: Table `verdicts`.
    """
    scores = scores_in(verdicts).partition_by("prompt_id", as_dict=True)
    told = pl.col("state").is_in(["given", "tie"]) & (pl.col("responses").list.len() > 1)
    compared = verdicts.filter(told).partition_by("prompt_id", as_dict=True)
    for prompt_id in verdicts["prompt_id"].unique(maintain_order=True):
        if (rows := compared.get((prompt_id,))) is not None:
            yield _of_comparisons(prompt_id, rows.to_dicts())
        elif (own := scores.get((prompt_id,))) is not None:
            yield Evidence(prompt_id, own["candidate_id"].to_list(), own["score"].to_list())


def sureness(verdicts: pl.DataFrame) -> dict[str, float]:
    """prompt_id → how far the best response lies above the worst: 0 if nothing tells them apart.

    Args:
        verdicts: Table `verdicts`.
    """
    found = evidence_in(verdicts)
    return {each.prompt_id: max(each.scores) - min(each.scores) for each in found}


def _of_comparisons(prompt_id: str, rows: Sequence[dict[str, Any]]) -> Evidence:
    responses = sorted({response for row in rows for response in row["responses"]})
    place = {response: at for at, response in enumerate(responses)}
    wins, times = np.zeros((2, len(responses), len(responses)))
    for row in rows:
        for first, second in combinations(range(len(row["responses"])), 2):
            i, j = place[row["responses"][first]], place[row["responses"][second]]
            p = probability_in(row, first, second)
            wins[i, j], wins[j, i] = wins[i, j] + p, wins[j, i] + 1 - p
            times[i, j], times[j, i] = times[i, j] + 1, times[j, i] + 1
    probabilities = np.divide(wins, times, out=np.full_like(wins, np.nan), where=times > 0)
    scores = np.nanmean(probabilities, axis=1)
    return Evidence(prompt_id, responses, scores.tolist(), probabilities)


def probability_in(verdict: Mapping[str, Any], first: int, second: int) -> float:
    """P(one response of a verdict better than another), by their places in it.

    Args:
        verdict: A row of table `verdicts`, whose state is given or tie.
        first: The place of the one.
        second: Of the other.
    """
    if verdict["state"] == "tie":
        return 0.5
    if verdict["scores"] is None:
        return float(verdict["preference"])
    return float(np.sign(verdict["scores"][first] - verdict["scores"][second]) + 1) / 2
