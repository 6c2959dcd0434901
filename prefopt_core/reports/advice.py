"""What the figures of a run warn of, in words, with the setting that helps.

A warning needs its interval to agree, so that chance alone seldom raises one. It describes what was
measured; whether the advice helps is for the next run to show.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import polars as pl

Row = Mapping[str, Any]
Figures = Mapping[str, Row]
"""The figures of one round: metric → its row."""

ENOUGH = 20
"""Intervals of fewer values than that warn of nothing."""
LONGER = 1.25
"""Responses so many times as long as the start policy's are worth a word."""
OVERCONFIDENT = 0.1
"""So much more sure than right."""
REPETITIVE = 0.75
"""Diversity, as a share of the start policy's, below which it is worth a word."""
UNFINISHED = 0.1
"""Share of responses that are cut off."""
DISPLACED = -1.0
"""Nats that the chosen responses lost in a round's training."""


def advise(metrics: pl.DataFrame) -> list[str]:
    """Warnings on the rounds of a run, the newest round last; [] if nothing is amiss."""
    rounds: dict[int, dict[str, Row]] = {}
    known = metrics.filter(pl.col("low").is_null() | (pl.col("n") >= ENOUGH))
    for row in known.sort("round").iter_rows(named=True):
        rounds.setdefault(row["round"], {})[row["metric"]] = row
    start = rounds.get(0, {})
    return [
        f"Round {number}: {text}"
        for number, figures in rounds.items()
        if number
        for rule in _RULES
        for text in rule(figures, start)
    ]


def _worse(now: Figures, start: Figures) -> Iterator[str]:
    row = now.get("win_rate_over_previous")
    if row and row["high"] < 0.5:
        yield (
            f"it loses against the round before (win rate {_percent(row)}). Stop there and keep "
            "the best round: `evaluation.stop: worse`, `evaluation.keep: best`."
        )


def _self_labels(now: Figures, start: Figures) -> Iterator[str]:
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
            f"the policy is {sure['value']:.0%} sure of its own labels and right in "
            f"{_percent(right)}. Lower `judge.params.beta`, or use `training.loss: noise_aware`."
        )


def _length(now: Figures, start: Figures) -> Iterator[str]:
    words, before = now.get("response_words"), start.get("response_words")
    if not words or not before or words["low"] < LONGER * before["value"]:
        return
    own = now.get("self_pair_words")
    cause = ""
    if own and own["low"] > 0:
        cause = f"; the policy prefers the longer one, by {own['value']:.1f} words"
    yield (
        f"responses have {words['value']:.1f} words, the start's {before['value']:.1f}{cause}. If "
        "that is no gain: `judge.params.length_penalty`, or `training.loss: simpo`."
    )


def _cut_off(now: Figures, start: Figures) -> Iterator[str]:
    row = now.get("unfinished")
    if row and row["low"] > UNFINISHED:
        yield (
            f"{_percent(row)} of the responses are cut off. Raise `max_new_tokens` of "
            "`evaluation.generation.params` and `generation.params`."
        )


def _displacement(now: Figures, start: Figures) -> Iterator[str]:
    row = now.get("chosen_shift")
    if row and row["value"] < DISPLACED:
        yield (
            f"training made the chosen responses less likely ({row['value']:+.1f} nats), only the "
            "rejected ones even less. Hold on to them with `training.sft: 0.1`, or lower "
            "`training.learning_rate`."
        )


def _diversity(now: Figures, start: Figures) -> Iterator[str]:
    row, before = now.get("distinct_2"), start.get("distinct_2")
    words, words_before = now.get("response_words"), start.get("response_words")
    if not (row and before and words and words_before):
        return
    # Of longer responses a smaller share is distinct anyway, and shorter ones have fewer pairs.
    share = row["value"] / before["value"]
    if max(share, share * words["value"] / words_before["value"]) < REPETITIVE:
        yield (
            f"responses repeat each other: {row['value']:.0%} of word pairs are distinct, "
            f"{before['value']:.0%} at the start. Raise `training.beta`, lower "
            "`training.learning_rate`, or sample at a higher temperature."
        )


def _flags(now: Figures, start: Figures) -> Iterator[str]:
    wrong, right = now.get("flagged_wrong"), now.get("self_label_agreement")
    if wrong and right and wrong["high"] < 1 - right["value"]:
        yield (
            f"the pairs that noise detection flags are wrong less often ({_percent(wrong)}) than "
            f"self-labels on the whole ({1 - right['value']:.0%}). Use `training.loss: dpo`."
        )


def _percent(row: Row) -> str:
    value, low, high = (100 * row[name] for name in ("value", "low", "high"))
    return f"{value:.0f} % [{low:.0f}, {high:.0f}]"


_RULES: tuple[Callable[[Figures, Figures], Iterator[str]], ...] = (
    _worse,
    _self_labels,
    _flags,
    _length,
    _cut_off,
    _displacement,
    _diversity,
)
