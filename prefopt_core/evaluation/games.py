"""Games: two policies answer the same prompt, and something says which response is better."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.labels.comparisons import comparisons
from prefopt_core.labels.evidence import scores_in

_SCHEMA = {
    "prompt_id": pl.String(),
    "policy": pl.String(),
    "opponent": pl.String(),
    "preference": pl.Float64(),
    "length": pl.Float64(),
    "opponent_length": pl.Float64(),
}


@dataclass(frozen=True)
class Games:
    """All games between some policies, each pair of them once a prompt.

    Attributes:
        table: prompt_id, policy, opponent, preference (P(the policy's response is better), a tie is
            ½), length and opponent_length (characters; of several responses the mean). Sorted by
            prompt_id. The reference is never `policy`.
        reference: The policy that the others are measured by.
    """

    table: pl.DataFrame
    reference: str

    def against_reference(self) -> Iterator[tuple[str, pl.DataFrame]]:
        """(policy, its games against the reference), in the order of their names."""
        mine = self.table.filter(opponent=self.reference)
        for policy in sorted(mine["policy"].unique()):
            yield policy, mine.filter(policy=policy)


@dataclass(frozen=True)
class Figure:
    """What an evaluator says of a policy.

    Attributes:
        policy: Its name.
        value: The figure.
        error: Its standard error over prompts.
        low: Of its 95 % interval over prompts.
        high: Likewise.
        n: Games behind it.
    """

    policy: str
    value: float
    error: float | None
    low: float | None
    high: float | None
    n: int


def games_of(verdicts: pl.DataFrame, answers: Mapping[str, pl.DataFrame]) -> Games:
    """The games that verdicts decide.

    Where responses were scored, the higher mean score of a prompt wins. Where they were compared,
    the mean of all that was said counts, so two orders that contradict each other are a tie, and
    so are two equal texts and two that are both bad. What nothing is said about is no game.

    Args:
        verdicts: Table `verdicts` on these responses.
        answers: Policy → table `candidates`; the first one is the reference.
    """
    scores = scores_in(verdicts)
    decided = [
        _by_score(scores, answers[opponent], answers[policy])
        if scores.height
        else _by_comparison(verdicts, answers[opponent], answers[policy])
        for opponent, policy in combinations(answers, 2)
    ]
    named = [
        games.with_columns(policy=pl.lit(policy), opponent=pl.lit(opponent))
        for games, (opponent, policy) in zip(decided, combinations(answers, 2), strict=True)
    ]
    table = pl.concat([pl.DataFrame(schema=_SCHEMA), *(one.select([*_SCHEMA]) for one in named)])
    return Games(table.sort("prompt_id", "policy", "opponent"), next(iter(answers)))


def wins(own: FloatArray, other: FloatArray) -> npt.NDArray[np.float64]:
    """1 where a score is higher than the other's, 0 where it is lower, ½ where they tie.

    Args:
        own: (n,) scores of a policy, one per prompt.
        other: (n,) of its opponent.
    """
    return (np.sign(own - other) + 1) / 2


def _by_score(scores: pl.DataFrame, opponent: pl.DataFrame, policy: pl.DataFrame) -> pl.DataFrame:
    def judged(answers: pl.DataFrame) -> pl.DataFrame:
        found = _texts(answers).join(scores, ["prompt_id", "candidate_id"])
        return found.group_by("prompt_id").agg(pl.col("score", "length").mean())

    both = judged(policy).join(judged(opponent), "prompt_id", suffix="_other")
    preference = wins(both["score"].to_numpy(), both["score_other"].to_numpy())
    return both.select(
        "prompt_id",
        pl.Series("preference", preference, pl.Float64),
        "length",
        opponent_length="length_other",
    )


def _by_comparison(
    verdicts: pl.DataFrame, opponent: pl.DataFrame, policy: pl.DataFrame
) -> pl.DataFrame:
    nobody = pl.col("probability").mean().fill_null(0.5)  # both are bad
    said = comparisons(verdicts).group_by("prompt_id", "first", "second").agg(nobody)
    turned = said.select(
        "prompt_id", first="second", second="first", probability=1 - pl.col("probability")
    )
    sides = ["candidate_id", "candidate_id_other"]
    said = pl.concat([said, turned]).rename(dict(zip(["first", "second"], sides, strict=True)))
    met = _texts(policy).join(_texts(opponent), "prompt_id", suffix="_other")
    same = pl.col(sides[0]) == pl.col(sides[1])
    return (
        met.join(said, ["prompt_id", *sides], how="left")
        .with_columns(preference=pl.when(same).then(0.5).otherwise("probability"))
        .drop_nulls("preference")
        .group_by("prompt_id")
        .agg(pl.col("preference", "length").mean(), opponent_length=pl.col("length_other").mean())
    )


def _texts(answers: pl.DataFrame) -> pl.DataFrame:
    """(prompt_id, candidate_id, length): a row for each response, also if the text is repeated."""
    length = pl.col("response").str.len_chars().cast(pl.Float64)
    return answers.select("prompt_id", "candidate_id", length=length)
