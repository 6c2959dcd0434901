"""Metrics behind a win rate: KL from the start, self-label accuracy, calibration, training log.

Metrics with one value per unit (a response, a pair) come as samples, so that `evaluation/table.py`
can give them an interval; the others come as numbers.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from prefopt_core.ground.ids import last_content
from prefopt_core.labels.evidence import evidence_in, scores_in

Values = npt.NDArray[np.float64]
Samples = Iterator[tuple[str, Values]]
"""(metric, one value per unit that is resampled)."""

SURE = (50, 60, 70, 80, 90)
"""Lower ends, in per cent, of the bins of a reliability plot."""

_SIDES = ("chosen", "rejected")
_WORD = r"\S+"
_NO_PAIR = {
    "skipped": "skipped_labels",
    "invalid": "invalid_labels",
    "both_bad": "both_bad_labels",
}
"""State of a verdict that makes no pair → the metric that counts it."""
_LATE = 0.25
"""The share of a training's steps, at its end, over which its log is averaged."""


def responses_now(responses: pl.DataFrame, start_logps: pl.DataFrame | None) -> Samples:
    """(metric, samples) of the policy's responses to the held-out prompts.

    Args:
        responses: Table `candidates` of them.
        start_logps: Table `logps` of them under the start policy.
    """
    yield "response_words", _words(responses["response"])
    yield "unfinished", _floats(responses["finish_reason"] == "length")
    if start_logps is not None:
        start = start_logps.rename({"logps": "start_logps"})
        both = responses.join(start, "candidate_id", maintain_order="left").drop_nulls("logps")
        # Sampled from π, so the mean of log π(y) - log π_init(y) is KL(π ‖ π_init) without bias,
        # if they were sampled at temperature 1 and without truncation.
        yield "kl_from_start", (both["logps"] - both["start_logps"]).to_numpy()


def distinct_bigrams(responses: pl.DataFrame) -> float:
    """Distinct-2: the share of distinct ones among bigrams of words (Li et al., arXiv:1510.03055).

    It falls as more responses are counted, so only equal numbers of them can be compared.

    Args:
        responses: Table `candidates`.
    """
    words = responses["response"].str.extract_all(_WORD).to_list()
    pairs = [pair for own in words for pair in pairwise(own)]
    return len(set(pairs)) / max(1, len(pairs))


def labels_bought(labels: pl.DataFrame | None) -> Iterator[tuple[str, float, int]]:
    """(metric, value, of how many) of the labels, and of those that make no pair, if there are any.

    Args:
        labels: Table `verdicts` of the labels bought; None if there are none.
    """
    if labels is None:
        yield "labels", 0, 0
        return
    # Both orders of two responses are one label.
    bought = labels.select("prompt_id", pl.col("responses").list.sort(), "annotator", "by")
    count = bought.unique().height
    yield "labels", count, count
    for state, metric in _NO_PAIR.items():
        if found := int((labels["state"] == state).sum()):
            yield metric, found, labels.height
    decided = [len(set(found.scores)) > 1 for found in evidence_in(labels) if len(found.scores) > 1]
    if tied := decided.count(False):
        yield "tied_prompts", tied, len(decided)


def pairs_learned(preferences: pl.DataFrame) -> Samples:
    """(metric, samples) of a round's pairs: difference in words, chosen minus rejected, by source.

    Args:
        preferences: Table `preferences`.
    """
    for source in ("gold", "self"):
        own = preferences.filter(pl.col("source") == source)
        chosen, rejected = (_words(own.select(last_content(side)).to_series()) for side in _SIDES)
        yield f"{source}_pair_words", chosen - rejected


def judged_with(preferences: pl.DataFrame) -> Iterator[tuple[str, float, int]]:
    """(metric, value, of how many pairs) of what is noted of the judge of a round's pairs.

    `length_penalty`: what each character cost a response, in the unit of its score; `consistency`:
    how far the judge ranks as the one before did, 0 to 1, see `pairing.consistency`.

    Args:
        preferences: Table `preferences`.
    """
    own = preferences.filter(pl.col("source") == "self")
    for name in ("length_penalty", "consistency"):
        known = own[name].drop_nulls().to_numpy() if name in own.columns else np.zeros(0)
        if len(known):
            yield name, float(known.mean()), len(known)


def with_truth(pairs: pl.DataFrame, truth: pl.DataFrame) -> pl.DataFrame:
    """The pairs whose responses have unequal gold scores, and whether gold agrees with the label.

    Args:
        pairs: Table `preferences`, or some of its columns with the ids.
        truth: Table `verdicts` of gold scores.

    Returns:
        `pairs` with gold_chosen, gold_rejected and right: whether gold prefers the chosen one.
    """
    scores = scores_in(truth)
    for side in _SIDES:
        pairs = pairs.join(
            scores.rename({"candidate_id": f"{side}_id", "score": f"gold_{side}"}),
            ["prompt_id", f"{side}_id"],
            maintain_order="left",
        )
    decided = pairs.filter(pl.col("gold_chosen") != pl.col("gold_rejected"))
    return decided.with_columns(right=pl.col("gold_chosen") > pl.col("gold_rejected"))


def own_labels(preferences: pl.DataFrame, truth: pl.DataFrame) -> Samples:
    """(metric, samples) of the self-made labels against gold: agreement and calibration.

    Args:
        preferences: Table `preferences`.
        truth: Table `verdicts` of gold scores.
    """
    own = with_truth(preferences.filter(pl.col("source") == "self"), truth)
    yield "self_label_agreement", _floats(own["right"])
    yield "self_label_confidence", own["confidence"].to_numpy()
    for low in SURE:
        upto = 101 if low == SURE[-1] else low + 10
        bin_ = own.filter(pl.col("confidence").is_between(low / 100, upto / 100, closed="left"))
        yield f"right_when_sure_{low}", _floats(bin_["right"])
        yield f"sure_{low}", bin_["confidence"].to_numpy()


def calibration_error(preferences: pl.DataFrame, truth: pl.DataFrame) -> tuple[float, int] | None:
    """Expected calibration error of p(chosen ≻ rejected) over the bins `SURE` (arXiv:1706.04599).

    That is the mean over bins, weighted by their pairs, of |mean confidence - share right|.

    Args:
        preferences: Table `preferences`.
        truth: Table `verdicts` of gold scores.

    Returns:
        The error and the number of pairs of unequal gold scores; None if there are none.
    """
    samples = dict(own_labels(preferences, truth))
    n = len(samples["self_label_agreement"])
    if not n:
        return None
    bins = [(samples[f"right_when_sure_{low}"], samples[f"sure_{low}"]) for low in SURE]
    return sum(abs(right.sum() - sure.sum()) for right, sure in bins) / n, n


def flagged_wrong(preferences: pl.DataFrame, flagged: pl.DataFrame, truth: pl.DataFrame) -> Values:
    """For each time that training flagged a self-labelled pair: 1 if gold disagrees with its label.

    Args:
        preferences: Table `preferences` of the round.
        flagged: Columns prompt_id, chosen_id, rejected_id and times, see `training.log`.
        truth: Table `verdicts` of gold scores.

    Returns:
        (flags,) of 0 and 1; pairs of equal gold scores are left out.
    """
    own = with_truth(preferences.filter(pl.col("source") == "self"), truth)
    both = own.join(flagged, ["prompt_id", "chosen_id", "rejected_id"], maintain_order="left")
    return np.repeat(_floats(~both["right"]), both["times"].to_numpy())


def training_late(steps: pl.DataFrame) -> Iterator[tuple[str, float]]:
    """(metric, value) of a training log: means over the last quarter of its steps.

    `chosen_shift` and `rejected_shift` are log π - log π_ref in nats: a policy that wins by making
    the chosen responses less likely, only not as much as the rejected ones, shows here. `flagged`
    is the share of flagged pairs in all steps after the warm-up. `margin_trained` and
    `margin_saved` are the mean margins of some pairs before and after the policy was saved.

    Args:
        steps: The log by optimiser step, see `training.log`.
    """
    late = steps.tail(max(1, math.ceil(_LATE * steps.height)))
    saved = {"margin_trained", "margin_saved"} & {*steps.columns}  # absent from older logs
    for name in ("chosen_shift", "rejected_shift", "threshold", *sorted(saved)):
        yield from _mean(late, name)
    yield from _mean(steps.filter(pl.col("threshold").is_not_null()), "flagged")


def _mean(steps: pl.DataFrame, name: str) -> Iterator[tuple[str, float]]:
    values = steps[name].cast(pl.Float64).drop_nulls()
    if len(values):
        yield name, float(values.mean())  # type: ignore[arg-type]


def _words(texts: pl.Series) -> Values:
    return _floats(texts.str.count_matches(_WORD))


def _floats(values: pl.Series) -> Values:
    return values.cast(pl.Float64).to_numpy()
