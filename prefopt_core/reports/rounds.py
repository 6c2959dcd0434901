"""What the rounds of a run measured: tables with a row per round, and what their columns mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from prefopt_core.labels.estimates import ENOUGH, percent
from prefopt_core.reports.advice import advise
from prefopt_core.reports.labels import counted
from prefopt_core.reports.page import Cell, Estimate, Notice, Part, Table, Text, Verdict


@dataclass(frozen=True)
class Column:
    """How a metric is shown.

    Attributes:
        metric: A value of the column `metric` of the table `metrics`.
        title: The column's header.
        form: A format for its values, and for both ends of their intervals.
        unit: " %" for shares, whose values are multiplied by 100; else "".
    """

    metric: str
    title: str
    form: str = "{:.2f}"
    unit: str = ""


ROUNDS = (
    Column("win_rate", "win rate", "{:.0f}", " %"),
    Column("length_controlled_win_rate", "at equal length", "{:.0f}", " %"),
    Column("gold_score", "gold score"),
    Column("labels", "labels", "{:.0f}"),
    Column("gold_pairs", "gold pairs", "{:.0f}"),
    Column("self_pairs", "self pairs", "{:.0f}"),
    Column("self_label_agreement", "self-labels right", "{:.0f}", " %"),
    Column("response_words", "words", "{:.1f}"),
)
"""How good each round is, and what it cost; `note_on_rounds` says what the columns mean."""
GRADED = ("gold_score", "win_rate")
"""Of these there is one if an annotator graded held-out responses: it scored or compared them."""
DIAGNOSTICS = (
    Column("win_rate_over_previous", "win rate over the round before", "{:.0f}", " %"),
    Column("self_label_confidence", "policy sure of its labels", "{:.0f}", " %"),
    Column("self_label_agreement", "right", "{:.0f}", " %"),
    Column("calibration_error", "calibration error", "{:.0f}", " %"),
    Column("flagged", "pairs flagged", "{:.0f}", " %"),
    Column("flagged_wrong", "of them wrong", "{:.0f}", " %"),
    Column("threshold", "τ", "{:.3f}"),
    Column("gold_pair_words", "chosen − rejected words, gold", "{:+.1f}"),
    Column("self_pair_words", "self", "{:+.1f}"),
    Column("length_penalty", "penalty per character", "{:.2g}"),
    Column("consistency", "judged as the round before", "{:.0f}", " %"),
    Column("chosen_shift", "log-prob. of chosen", "{:+.1f}"),
    Column("rejected_shift", "of rejected", "{:+.1f}"),
    Column("kl_from_start", "KL from start", "{:.1f}"),
    Column("distinct_2", "distinct word pairs", "{:.0f}", " %"),
    Column("unfinished", "cut off", "{:.0f}", " %"),
)
"""Why a round is as good as it is; `note_on_diagnostics` says what the columns mean."""


def rounds_in_words(metrics: pl.DataFrame, kept: int | None = None) -> list[Part]:
    """All that is said of a run's rounds at a glance, without its plots.

    Args:
        metrics: The `metrics` tables of all rounds, one after the other.
        kept: The round whose policy the run returned, if that is known already.

    Returns:
        The verdict, the table of rounds and what its columns mean, and what asks for attention.
    """
    return [verdict_of(metrics, kept), *table_in_words(metrics), *warnings_of(metrics, kept)]


def verdict_of(metrics: pl.DataFrame, kept: int | None = None) -> Verdict:
    """What the run came to, in one sentence; arguments as of `rounds_in_words`.

    A win rate is settled if its 95 % interval leaves out one half, and `ENOUGH` prompts are behind
    it.
    """
    last = int(metrics.select(pl.col("round").max()).item() or 0)
    kept = last if kept is None else kept
    bought = metrics.filter(pl.col("metric") == "labels")["value"].sum()
    spent = (
        f"After {counted(int(bought), 'label')}" if bought else f"After {counted(last, 'round')}"
    )
    won = metrics.filter(pl.col("metric") == "win_rate", pl.col("round") == kept).to_dicts()
    if not won:
        return Verdict(_without_win_rate(metrics, spent, last, kept))
    value, low, high, n = (won[0][name] for name in ("value", "low", "high", "n"))
    wins = percent(value, low, high)
    if n < ENOUGH:
        return Verdict(
            f"{spent} nothing is settled: the policy wins {wins} over where it started, on only "
            f"{counted(n, 'held-out prompt')}."
        )
    if low > 0.5:
        return Verdict(f"{spent} the policy wins {wins} over where it started.")
    if high < 0.5:
        return Verdict(f"{spent} the policy is worse: it wins {wins} over where it started.")
    return Verdict(
        f"{spent} nothing is settled: the policy wins {wins} over where it started, and 50 % would "
        "be no change."
    )


def _without_win_rate(metrics: pl.DataFrame, spent: str, last: int, kept: int) -> str:
    known = {*metrics["metric"]}
    # Of a start policy that will be compared there are words only.
    if not known & {*GRADED} and (last or "response_words" not in known):
        return f"{spent} nobody has measured whether the policy became better."
    if not last:
        return "This is the start policy: nothing is bought or learned yet."
    if not kept:
        return f"{spent} the start policy is kept: no round has a better {_kept_by(metrics)}."
    return f"{spent} nothing can be said: no held-out prompt has a score before and after."


def table_in_words(metrics: pl.DataFrame) -> list[Part]:
    """The table of rounds, and what its columns mean."""
    explained = note_on_rounds(metrics)
    return [table_by_round(metrics), *([Text(explained)] if explained else [])]


def warnings_of(metrics: pl.DataFrame, kept: int | None = None) -> list[Part]:
    """What asks for attention, each with what may help; arguments as of `rounds_in_words`."""
    return [Notice(text) for text in warned(metrics, kept)]


def warned(metrics: pl.DataFrame, kept: int | None = None) -> list[str]:
    """The texts of `warnings_of`."""
    return [*kept_earlier(metrics, kept), *advise(metrics)]


def table_by_round(metrics: pl.DataFrame, columns: Sequence[Column] = ROUNDS) -> Table:
    """One row per round of a `metrics` table, of those columns that were measured at all."""
    measured = [column for column in columns if column.metric in metrics["metric"]]
    values = {(row["round"], row["metric"]): row for row in metrics.iter_rows(named=True)}
    return Table(
        ["round", *(column.title for column in measured)],
        [
            [str(number or "start"), *(_cell(values.get((number, c.metric)), c) for c in measured)]
            for number in sorted(set(metrics["round"]))
        ],
    )


def _cell(row: dict[str, Any] | None, column: Column) -> Cell:
    """A row of `metrics` as its value, with its interval if it has one."""
    if row is None:
        return "–"
    scale = 100 if column.unit else 1  # shares are shown in per cent
    value, low, high = (
        None if row[name] is None else column.form.format(scale * row[name])
        for name in ("value", "low", "high")
    )
    shown = f"{value}{column.unit}"
    return shown if low is None else Estimate(shown, f"[{low}, {high}]")


def note_on_rounds(metrics: pl.DataFrame) -> str:
    """What the columns of `ROUNDS` mean; "" when nothing in a `metrics` table was graded."""
    if not {*GRADED} & {*metrics["metric"]}:
        return ""
    controlled = "length_controlled_win_rate" in metrics["metric"]
    return (
        "Win rate: over the start policy, on held-out prompts, by the gold annotator; ties count "
        "half. "
        + "At equal length: what it would be if responses were as long as the start policy's, by "
        "AlpacaEval 2's model; 50 % without an interval where that foretells nothing. "
        * controlled
        + "In brackets: 95 % bootstrap interval over those prompts. Self-labels right: share of "
        "the policy's own preferences that the gold annotator shares."
    )


def note_on_diagnostics() -> str:
    """What the columns of `DIAGNOSTICS` mean."""
    return (
        "Sure and right: how confident the policy was in its own labels and how often gold agrees; "
        "calibration error: the mean difference of the two over bins of confidence. Flagged: share "
        "of self-labelled pairs that noise detection held to be wrong after its warm-up, and how "
        "many of them gold finds wrong; τ: its threshold on margins. Words: length of chosen minus "
        "that of rejected; penalty: what each character cost a response that was judged. Judged as "
        "the round before: share of two responses that both policies rank alike. "
        "Log-probabilities: change by the round's training, in nats, over its last quarter. KL "
        "from start: of the held-out responses, in nats per response; without bias if they were "
        "sampled at temperature 1. Distinct word pairs fall as responses repeat each other."
    )


def kept_earlier(metrics: pl.DataFrame, kept: int | None) -> list[str]:
    """One sentence if the run returned the policy of another than the last round, else none."""
    if kept is None or kept == metrics["round"].max():
        return []
    which = f"round {kept}" if kept else "the start policy"
    return [
        f"Kept: {which}, by its {_kept_by(metrics)} on the prompts that it is measured on, so its "
        "figures are a little too good."
    ]


def _kept_by(metrics: pl.DataFrame) -> str:
    """What `evaluation.keep: best` chooses by."""
    return "gold score" if "gold_score" in metrics["metric"] else "win rate"
