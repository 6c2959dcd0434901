"""Is the policy better? Figures of one round, each with its 95 % interval, in long form."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.randomness import seed_for
from prefopt_core.statistics import bootstrap_interval
from prefopt_core.tables import TABLES

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RoundTables:
    """What a round is measured by; what is not known is None and its figures are left out.

    Attributes:
        responses: The policy's responses to the held-out prompts (`candidates`).
        grades: Their gold scores (`annotations`).
        start_grades: Gold scores of the start policy's responses to the same prompts.
        previous_grades: The same of the round before.
        preferences: The pairs of this round.
        annotations: The labels bought in this round.
        truth: Gold scores of the responses that the policy judged.
    """

    responses: pl.DataFrame | None = None
    grades: pl.DataFrame | None = None
    start_grades: pl.DataFrame | None = None
    previous_grades: pl.DataFrame | None = None
    preferences: pl.DataFrame | None = None
    annotations: pl.DataFrame | None = None
    truth: pl.DataFrame | None = None


def evaluate(tables: RoundTables, *, round_number: int, seed: int) -> pl.DataFrame:
    """Measure one round; round 0 is the start policy. The `metrics` table out.

    Intervals resample prompts, so they say how far another draw of test prompts could move a
    figure, not how far another training seed could.
    """
    rows: list[tuple[int, str, float, float | None, float | None, int]] = []
    for name, values in _samples(tables):
        if not len(values):  # the annotator skipped them all, or they tie
            continue
        low, high = bootstrap_interval(values, seed=seed_for(str(seed), name))
        rows.append((round_number, name, float(values.mean()), low, high, len(values)))
    for name, count in _counts(tables):
        rows.append((round_number, name, float(count), None, None, count))
    return pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")


def _samples(tables: RoundTables) -> Iterator[tuple[str, Values]]:
    """(metric, one value per unit that is resampled)."""
    if tables.grades is not None:
        own = _per_prompt(tables.grades)
        yield "gold_score", own["score"].to_numpy()
        if tables.start_grades is not None:
            yield "win_rate", _wins(own, _per_prompt(tables.start_grades))
        if tables.previous_grades is not None:
            yield "win_rate_over_previous", _wins(own, _per_prompt(tables.previous_grades))
    if tables.responses is not None:
        yield from _shapes(tables.responses)
    if tables.preferences is not None and tables.truth is not None:
        own_labels = tables.preferences.filter(pl.col("source") == "self")
        yield "self_label_agreement", _agreement(own_labels, tables.truth)


def _counts(tables: RoundTables) -> Iterator[tuple[str, int]]:
    yield "labels", 0 if tables.annotations is None else tables.annotations.height
    if tables.preferences is not None:
        for source in ("gold", "self"):
            yield f"{source}_pairs", int((tables.preferences["source"] == source).sum())


def _shapes(responses: pl.DataFrame) -> Iterator[tuple[str, Values]]:
    words = responses["response"].str.count_matches(r"\S+")
    yield "response_words", words.cast(pl.Float64).to_numpy()
    yield "unfinished", (responses["finish_reason"] == "length").cast(pl.Float64).to_numpy()


def _per_prompt(grades: pl.DataFrame) -> pl.DataFrame:
    """Mean gold score of each prompt that has one, in the order of their ids."""
    scored = grades.drop_nulls("score")
    return scored.group_by("prompt_id").agg(pl.col("score").mean()).sort("prompt_id")


def _wins(own: pl.DataFrame, other: pl.DataFrame) -> Values:
    """1 where `own` is higher, 0 where lower, ½ where equal; prompts that only one has are out."""
    both = own.join(other, "prompt_id", suffix="_of_other", maintain_order="left")
    return (np.sign((both["score"] - both["score_of_other"]).to_numpy()) + 1) / 2


def _agreement(pairs: pl.DataFrame, truth: pl.DataFrame) -> Values:
    """1 where gold prefers the chosen response too, 0 where not; gold ties are left out."""
    scores = truth.select("prompt_id", "candidate_id", "score")
    for side in ("chosen", "rejected"):
        pairs = pairs.join(
            scores.rename({"candidate_id": f"{side}_id", "score": f"gold_{side}"}),
            ["prompt_id", f"{side}_id"],
        )
    decided = pairs.filter(pl.col("gold_chosen") != pl.col("gold_rejected"))
    return (decided["gold_chosen"] > decided["gold_rejected"]).cast(pl.Float64).to_numpy()
