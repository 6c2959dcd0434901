"""Warnings on the metrics of a run, each with the settings that may help.

Where a metric has an interval, its nearer end is compared with the threshold, so that chance alone
seldom causes a warning. Whether the advice helps is not tested.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

from prefopt_core.labels.estimates import ENOUGH, percent
from prefopt_core.training.log import rounded_away

Row = Mapping[str, Any]
RoundMetrics = Mapping[str, Row]
"""Metric → its row in the `metrics` table of one round."""

LONGER = 1.25
"""Mean length of responses, as a multiple of the start policy's, above which to warn."""
OVERCONFIDENT = 0.1
"""Confidence minus share right, of the policy's own labels, above which to warn."""
REPETITIVE = 0.75
"""Share of distinct word pairs, relative to the start policy's, below which to warn."""
UNFINISHED = 0.1
"""Share of responses cut off above which to warn."""
UNDECIDED = 0.5
"""Share of prompts whose labels are all equal above which to warn."""
DISPLACED = -1.0
"""Change of the log-probability of chosen responses, in nats, below which to warn."""


def advise(metrics: pl.DataFrame) -> list[str]:
    """Warn of what goes wrong in the rounds of a run.

    Args:
        metrics: The `metrics` tables of all rounds, one after the other.

    Returns:
        A sentence or two for each warning, with settings between backticks, in the order of rounds.
    """
    rounds: dict[int, dict[str, Row]] = {}
    whole = (pl.col("metric") == "unfinished") & (pl.col("value") == 1)  # that is no chance
    known = metrics.filter(pl.col("low").is_null() | (pl.col("n") >= ENOUGH) | whole)
    for row in known.sort("round").iter_rows(named=True):
        rounds.setdefault(row["round"], {})[row["metric"]] = row
    start = rounds.get(0, {})
    return [
        f"Round {number}: {text}"
        for number, own in rounds.items()
        if number
        for rule in _RULES
        for text in rule(own, start)
    ]


def in_short(warning: str) -> str:
    """The first sentence of a warning: what is wrong, without what may help.

    >>> in_short("Round 2: it loses (win rate 41 % [36, 46]). Stop there. Or lower `beta`.")
    'Round 2: it loses (win rate 41 % [36, 46]).'
    """
    return re.split(r"(?<=[.?!]) (?=[A-Z`])", warning, maxsplit=1)[0]


def _worse(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row = now.get("win_rate_over_previous")
    if row and row["high"] < 0.5:
        yield (
            f"it loses against the round before (win rate {_percent(row)}). Stop there and keep "
            "the best round: `evaluation.stop: worse`, `evaluation.keep: best`."
        )


def _reversed(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row, gold = now.get("win_rate"), now.get("gold_pairs")
    if row and row["high"] < 0.5 and gold and gold["value"]:
        yield (
            f"it loses against the start policy (win rate {_percent(row)}). Is a higher score "
            "better to both annotators? Where the best is rank 1, or a score is a loss, let "
            "`annotation.annotator` give the negative. Else lower `training.learning_rate`."
        )


def _no_differences(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row = now.get("tied_prompts")
    if row and row["value"] > UNDECIDED * row["n"]:
        yield (
            f"{row['value']:.0f} of {row['n']} prompts have labels that are all equal, which make "
            "no pair: equal scores, ties, or a judge that turns with the order. A finer scale or a "
            "surer judge (`annotation.annotator`) would, or more different responses "
            "(`selection.strategy: diverse`)."
        )


def _self_labels(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    right, sure = now.get("self_label_agreement"), now.get("self_label_confidence")
    if not right:
        return
    if right["low"] <= 0.5:
        yield (
            f"the policy's own labels may be no better than a coin ({_percent(right)} right). "
            "Train more gently (`training.learning_rate`), buy labels of all responses to fewer "
            "prompts (`selection.strategy: west_of_n`), or buy more; else stop before this round."
        )
    elif sure and sure["value"] - right["high"] > OVERCONFIDENT:
        yield (
            f"the policy is {percent(sure['value'])} sure of its own labels and right in "
            f"{_percent(right)}. Lower `judge.params.beta`, or use `training.loss: noise_aware`."
        )


def _length(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    words, before = now.get("response_words"), start.get("response_words")
    if not words or not before or words["low"] < LONGER * before["value"]:
        return
    own = now.get("self_pair_words")
    cause = ""
    if own and own["low"] > 0:
        cause = f"; the policy prefers the longer one, by {own['value']:.1f} words"
    yield (
        f"responses have {words['value']:.1f} words, the start's {before['value']:.1f}{cause}. If "
        "that is no gain: `pairing.length_penalty: auto`, or `training.loss: simpo`."
    )


def _cut_off(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row = now.get("unfinished")
    if row and row["low"] > UNFINISHED:
        yield (
            f"{_percent(row)} of the responses are cut off. Raise "
            "`generation.params.max_new_tokens`, and that of `evaluation.generation.params` if it "
            "is set there."
        )


def _displacement(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row = now.get("chosen_shift")
    if row and row["value"] < DISPLACED:
        yield (
            f"training made the chosen responses less likely ({row['value']:+.1f} nats), only the "
            "rejected ones even less. Hold on to them with `training.sft: 0.1`, or lower "
            "`training.learning_rate`."
        )


def _saved(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    trained, saved = now.get("margin_trained"), now.get("margin_saved")
    if not trained or not saved:
        return
    before, after = trained["value"], saved["value"]
    if before == after == 0:
        yield (
            "training changed nothing: the margin of its own pairs is 0. Raise "
            "`training.learning_rate`, and look whether chosen and rejected responses differ."
        )
    elif rounded_away(before, after):
        yield (
            f"saving rounded training away: the margin of its own pairs was {before:.4f} and is "
            f"{after:.4f} in the saved policy. Set `training.save_dtype: float32`."
        )


def _diversity(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    row, before = now.get("distinct_2"), start.get("distinct_2")
    words, words_before = now.get("response_words"), start.get("response_words")
    if not (row and before and words and words_before):
        return
    # Of longer responses a smaller share is distinct anyway, and shorter ones have fewer pairs.
    share = row["value"] / before["value"]
    if max(share, share * words["value"] / words_before["value"]) < REPETITIVE:
        yield (
            f"responses repeat each other: {percent(row['value'])} of word pairs are distinct, "
            f"{percent(before['value'])} at the start. Raise `training.beta`, lower "
            "`training.learning_rate`, or sample at a higher temperature."
        )


def _flags(now: RoundMetrics, start: RoundMetrics) -> Iterator[str]:
    wrong, right = now.get("flagged_wrong"), now.get("self_label_agreement")
    if wrong and right and wrong["high"] < 1 - right["value"]:
        yield (
            f"the pairs that noise detection flags are wrong less often ({_percent(wrong)}) than "
            f"self-labels on the whole ({percent(1 - right['value'])}). Use `training.loss: dpo`."
        )


def _percent(row: Row) -> str:
    return percent(row["value"], row["low"], row["high"])


_RULES: tuple[Callable[[RoundMetrics, RoundMetrics], Iterator[str]], ...] = (
    _worse,
    _reversed,
    _no_differences,
    _self_labels,
    _flags,
    _length,
    _cut_off,
    _displacement,
    _saved,
    _diversity,
)
