"""What the policy says before and after, and what it was trained on: texts side by side."""

from dataclasses import dataclass
from typing import Any, Generic

import polars as pl

from prefopt_core.ground.ids import last_content, last_text
from prefopt_core.labels.asked import T
from prefopt_core.labels.estimates import percent
from prefopt_core.labels.evidence import scores_in
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import Heading, Part, Said, SideBySide, Text

_PAIRS = 3
"""Pairs of each source that a page shows."""
_OF_EACH = 2
"""Samples of each outcome that a page shows."""
_OUTCOMES = ("better", "worse", "as good")
_LONGEST = 1500
"""Characters of a text that are shown: most of a page."""


@dataclass(frozen=True)
class Answers(Generic[T]):
    """A policy's responses to the held-out prompts, with their scores.

    Attributes:
        responses: Table `candidates`.
        grades: Table `verdicts`, that of the gold annotator.
    """

    responses: T
    grades: T


def before_and_after(
    prompts: pl.DataFrame, start: Answers[pl.DataFrame], now: Answers[pl.DataFrame]
) -> list[Part]:
    """Responses to some held-out prompts by the start policy and by another; none without scores.

    As many of each outcome are shown, drawn by the prompts' ids, which are digests: nobody chose
    them by what they say.

    Args:
        prompts: Table `prompts`, the held-out ones.
        start: The start policy's.
        now: The other's.
    """
    before, after = _answered(start), _answered(now)
    both = (
        before.join(after, "prompt_id", suffix="_after")
        .join(prompts.select("prompt_id", prompt=last_content("prompt")), "prompt_id")
        .sort("prompt_id")
    )
    if both.is_empty():
        return []
    gain = pl.col("score_after") - pl.col("score")
    at = pl.when(gain > 0).then(0).when(gain < 0).then(1).otherwise(2)
    found = [both.filter(at == number) for number in range(len(_OUTCOMES))]
    better, worse, tied = (f"{own.height:,}" for own in found)
    said = (
        f"Of {counted(both.height, 'held-out prompt')} {better} have a better response than at the "
        f"start, {worse} a worse one and {tied} one that is as good, by the gold annotator. Up to "
        f"{_OF_EACH} of each are below, drawn by the prompts' ids and not by what they say."
    )
    return [
        Heading("Before and after"),
        Text(said),
        *(
            _sample(row, outcome)
            for own, outcome in zip(found, _OUTCOMES, strict=True)
            for row in own.head(_OF_EACH).to_dicts()
        ),
    ]


def _answered(answers: Answers[pl.DataFrame]) -> pl.DataFrame:
    """(prompt_id, response, n, score): the first of n responses, and the mean score of all."""
    scores = scores_in(answers.grades).group_by("prompt_id").agg(pl.col("score").mean())
    first = answers.responses.sort("prompt_id", "sample").group_by("prompt_id")
    return first.agg(pl.col("response").first(), n=pl.len()).join(scores, "prompt_id")


def _sample(row: dict[str, Any], outcome: str) -> SideBySide:
    def said(by: str, suffix: str, better: bool | None) -> Said:
        mean = "mean score" if row[f"n{suffix}"] != 1 else "score"
        score = f"{by}: {mean} {row[f'score{suffix}']:.3g}"
        return Said(score, _clipped(str(row[f"response{suffix}"])), better)

    now = {"better": True, "worse": False}.get(outcome)
    prompt = _clipped(str(row["prompt"]))
    return SideBySide(outcome, prompt, said("before", "", None), said("after", "_after", now))


def pairs_shown(preferences: pl.DataFrame) -> list[Part]:
    """The first pairs of each source of a `preferences` table: bought labels and the policy's."""
    return [
        SideBySide(
            _source(row),
            _clipped(last_text(row["prompt"])),
            Said("chosen", _clipped(last_text(row["chosen"])), better=True),
            Said("rejected", _clipped(last_text(row["rejected"])), better=False),
        )
        for row in preferences.group_by("source", maintain_order=True).head(_PAIRS).to_dicts()
    ]


def _source(row: dict[str, Any]) -> str:
    if row["source"] == "self":
        return f"the policy's own judgment, {percent(row['confidence'])} sure"
    return "gold: a paid label"


def _clipped(text: str) -> str:
    """A text with its lines, cut where it is longer than most of a page."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
