"""Evaluation, tables in, table out: the metrics of one round, with 95 % intervals."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from prefopt_core.evaluation.diagnostics import (
    Samples,
    Values,
    calibration_error,
    distinct_bigrams,
    flagged_wrong,
    judged_with,
    labels_bought,
    own_labels,
    pairs_learned,
    responses_now,
    training_late,
)
from prefopt_core.evaluation.games import Figure, games_of, wins
from prefopt_core.evaluation.length_controlled import length_controlled_win_rate
from prefopt_core.evaluation.statistics import bootstrap_interval
from prefopt_core.ground.randomness import seed_for
from prefopt_core.ground.tables import TABLES
from prefopt_core.labels.estimates import ENOUGH
from prefopt_core.labels.evidence import scores_in
from prefopt_core.labels.honesty import metrics_of


@dataclass(frozen=True)
class RoundTables:
    """The tables a round is measured by; the metrics of those that are None are left out.

    Attributes:
        responses: The policy's responses to the held-out prompts (`candidates`).
        grades: Gold scores of these (`verdicts`); of an annotator that compares `start_grades`.
        start_responses: The start policy's responses to these prompts (`candidates`).
        start_grades: Gold scores of these, or what was said of them beside `responses`.
        previous_responses: Those of the policy of the round before; None if they were scored.
        previous_grades: As `start_grades`, of that policy.
        preferences: The pairs of this round (`preferences`).
        labels: The labels bought in this round (`verdicts`).
        candidates: candidate_id and response of those that these are about.
        truth: Gold scores of the responses that the policy judged (`verdicts`).
        start_logps: Log-probabilities of `responses` under the start policy (`logps`).
        steps: The log of the training that made the policy, by step (see `training.log`).
        flagged: The pairs that this training flagged, by their ids, and how often (likewise).
    """

    responses: pl.DataFrame | None = None
    grades: pl.DataFrame | None = None
    start_responses: pl.DataFrame | None = None
    start_grades: pl.DataFrame | None = None
    previous_responses: pl.DataFrame | None = None
    previous_grades: pl.DataFrame | None = None
    preferences: pl.DataFrame | None = None
    labels: pl.DataFrame | None = None
    candidates: pl.DataFrame | None = None
    truth: pl.DataFrame | None = None
    start_logps: pl.DataFrame | None = None
    steps: pl.DataFrame | None = None
    flagged: pl.DataFrame | None = None


def evaluate(tables: RoundTables, *, round_number: int, seed: int) -> pl.DataFrame:
    """Measure one round; round 0 is the start policy.

    Intervals resample prompts, so they say how far another draw of test prompts could move a
    metric, not how far another training seed could.

    Returns:
        Table `metrics`.
    """
    rows: list[tuple[int, str, float, float | None, float | None, int]] = []
    for name, values in _samples(tables):
        if not len(values):  # the annotator skipped them all, or all scores tie
            continue
        low, high = bootstrap_interval(values, seed=seed_for(str(seed), name))
        rows.append((round_number, name, float(values.mean()), low, high, len(values)))
    for name, f in _of_games(tables, seed):
        rows.append((round_number, name, f.value, f.low, f.high, f.n))
    for name, value, n in _numbers(tables):
        rows.append((round_number, name, float(value), None, None, n))
    measured = pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")
    if tables.labels is None or tables.candidates is None:
        return measured
    return pl.concat([measured, metrics_of(tables.labels, tables.candidates, round_number)])


def _samples(tables: RoundTables) -> Samples:
    """(metric, one value per unit that is resampled)."""
    if tables.grades is not None:
        yield "gold_score", _per_prompt(tables.grades)["score"].to_numpy()
        if tables.start_grades is not None:
            yield "win_rate", _preferences(tables, tables.start_grades, tables.start_responses)
        if tables.previous_grades is not None:
            previous = tables.previous_grades, tables.previous_responses
            yield "win_rate_over_previous", _preferences(tables, *previous)
    if tables.responses is not None:
        yield from responses_now(tables.responses, tables.start_logps)
    if tables.preferences is not None:
        yield from pairs_learned(tables.preferences)
        if tables.truth is not None:
            yield from own_labels(tables.preferences, tables.truth)
            if tables.flagged is not None:
                yield (
                    "flagged_wrong",
                    flagged_wrong(tables.preferences, tables.flagged, tables.truth),
                )


def _numbers(tables: RoundTables) -> Iterator[tuple[str, float, int]]:
    """(metric, value, number of units) of the metrics that have no interval."""
    yield from labels_bought(tables.labels)
    if tables.responses is not None:
        yield "distinct_2", distinct_bigrams(tables.responses), tables.responses.height
    if tables.preferences is not None:
        for source in ("gold", "self"):
            count = int((tables.preferences["source"] == source).sum())
            yield f"{source}_pairs", count, count
        yield from judged_with(tables.preferences)
        if tables.truth is not None:
            error = calibration_error(tables.preferences, tables.truth)
            if error is not None:
                yield "calibration_error", *error
    if tables.steps is not None:
        for name, value in training_late(tables.steps):
            yield name, value, tables.steps.height


def _per_prompt(grades: pl.DataFrame) -> pl.DataFrame:
    """Mean gold score of each prompt that has one, in the order of their ids."""
    return scores_in(grades).group_by("prompt_id").agg(pl.col("score").mean()).sort("prompt_id")


def _preferences(
    tables: RoundTables, grades: pl.DataFrame, responses: pl.DataFrame | None
) -> Values:
    """P(better than another policy's response) of each prompt; of scores 1, 0, or ½ for a tie.

    Args:
        tables: The policy's responses, and scores of them if they were scored.
        grades: Scores of the other's, or what was said of both (`verdicts`).
        responses: The other's (`candidates`); needed for the latter.
    """
    assert tables.grades is not None
    own = _per_prompt(tables.grades)
    if own.is_empty() and tables.responses is not None and responses is not None:
        games = games_of(grades, {"other": responses, "policy": tables.responses})
        return games.table["preference"].to_numpy()
    both = own.join(_per_prompt(grades), "prompt_id", suffix="_of_other", maintain_order="left")
    return wins(both["score"].to_numpy(), both["score_of_other"].to_numpy())


def _of_games(tables: RoundTables, seed: int) -> Iterator[tuple[str, Figure]]:
    """(metric, figure) of what is told by games against the start policy, with their lengths."""
    grades, start = tables.grades, tables.start_grades
    own, other = tables.responses, tables.start_responses
    if grades is None or start is None or own is None or other is None:
        return
    games = games_of(pl.concat([grades, start]), {"start": other, "policy": own})
    if games.table.height < ENOUGH:  # two parameters of so few would say little
        return
    name = "length_controlled_win_rate"
    for figure in length_controlled_win_rate(games, seed_for(str(seed), name)):
        yield name, figure
