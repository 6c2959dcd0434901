"""A pilot of few labels: how often a judge agrees with labels on pairs that it has not seen.

The labelled pairs are dealt into folds by prompt. A policy that has learned from the other folds
judges each fold, so that every pair is judged once and by a policy that never saw its label. Any
two of K such policies share (K - 2) / (K - 1) of what they learned from: figures are means over
policies that are alike, and intervals, which take pairs to be independent, are a little narrow.
"""

from collections.abc import Sequence
from math import nan

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import ConfigError
from prefopt_core.ground.ids import last_content
from prefopt_core.ground.randomness import rng_for
from prefopt_core.ground.tables import TABLES, rows_of
from prefopt_core.implicit_reward import preference_probability
from prefopt_core.labels.estimates import Estimate, share
from prefopt_core.labels.evidence import Evidence, evidence_in


def leave_out(pairs: pl.DataFrame, fold: int, folds: int, *, seed: int) -> pl.DataFrame:
    """The pairs of all folds but one.

    Args:
        pairs: Table `preferences`.
        fold: Which one, from 0.
        folds: How many there are.
        seed: Root of the order in which prompts are dealt.

    Raises:
        ConfigError: There are fewer prompts than folds.
    """
    return pairs.filter(~_of_fold(pairs, fold, folds, seed))


def responses_of(
    pairs: pl.DataFrame, candidates: pl.LazyFrame, fold: int, folds: int, *, seed: int
) -> pl.DataFrame:
    """Table `candidates` of the responses in the pairs of one fold; arguments as of `leave_out`.

    Args:
        pairs: Table `preferences`.
        candidates: Table `candidates`, which may be larger than memory.
        fold: Which one, from 0.
        folds: How many there are.
        seed: Root of the order in which prompts are dealt.

    Raises:
        ConfigError: There are fewer prompts than folds.
    """
    held = pairs.filter(_of_fold(pairs, fold, folds, seed))
    ids = pl.concat([held["chosen_id"], held["rejected_id"].alias("chosen_id")])
    return rows_of(candidates, ids).unique("candidate_id", keep="first", maintain_order=True)


def _of_fold(pairs: pl.DataFrame, fold: int, folds: int, seed: int) -> pl.Expr:
    prompts = pairs["prompt_id"].unique().to_list()
    if len(prompts) < folds:
        raise ConfigError(
            f"The labels make pairs of {len(prompts)} prompts, too few for {folds} folds. Buy more "
            "(--labels), or ask for fewer folds (--folds)."
        )
    draws = {prompt: rng_for(seed, "folds of a pilot", prompt).random() for prompt in prompts}
    dealt = sorted(prompts, key=lambda prompt: (draws[prompt], prompt))
    return pl.col("prompt_id").is_in(dealt[fold::folds])


def agreement(pairs: pl.DataFrame, judgments: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """How a judge does on labelled pairs, none of which it has learned from.

    What `pairing` does to judged pairs (`keep`, `length_penalty`, …) is not looked at.

    Args:
        pairs: Table `preferences` of labels: pairs of which one response is better by its label.
        judgments: Tables `verdicts` of the judge on their responses, one a fold.

    Returns:
        Table `metrics` of round 1, without pairs of which the judge says nothing:
        judge_right, the share in which it prefers the chosen response, a tie ½, with Wilson's
        95 % interval; judge_confidence, its mean P(the one it prefers is better); judge_longer and
        label_longer, the share in which it, or the label, prefers the response of more words, of
        pairs that differ in these, a tie of the judge ½.
    """
    said = {each.prompt_id: each for table in judgments for each in evidence_in(table)}
    ids = pairs.select("prompt_id", "chosen_id", "rejected_id").iter_rows()
    sure = np.array([_sure(said.get(prompt), *pair) for prompt, *pair in ids], dtype=np.float64)
    known = ~np.isnan(sure)
    sure, pairs = sure[known], pairs.filter(pl.Series(known, dtype=pl.Boolean))
    chosen, rejected = (_words(pairs, side) for side in ("chosen", "rejected"))
    prefers = np.where(sure == 0.5, 0.5, sure > 0.5)
    prompts, differ = pairs["prompt_id"].to_numpy(), chosen != rejected
    longer = (chosen > rejected)[differ]
    figures = {
        "judge_right": share(prefers, prompts),  # half a hit: a tie
        "judge_confidence": _mean(np.maximum(sure, 1 - sure)),
        "judge_longer": _mean(np.where(longer, prefers[differ], 1 - prefers[differ])),
        "label_longer": _mean(longer),
    }
    rows = [(1, name, f.value, f.low, f.high, f.n) for name, f in figures.items() if f.n]
    table = pl.DataFrame(rows, schema=TABLES["metrics"].columns, orient="row")
    return table.with_columns(pl.col("low", "high").fill_nan(None))


def _sure(found: Evidence | None, chosen: str, rejected: str) -> float:
    """P(chosen better) by the judge; NaN where it says nothing."""
    if found is None or not {chosen, rejected} <= {*found.responses}:
        return nan
    one, other = (found.responses.index(response) for response in (chosen, rejected))
    if found.probabilities is not None:
        return float(found.probabilities[one, other])
    return float(preference_probability(found.scores[one], found.scores[other]))


def _words(pairs: pl.DataFrame, side: str) -> FloatArray:
    words = pairs.select(last_content(side)).to_series().str.count_matches(r"\S+")
    return words.cast(pl.Float64).to_numpy()


def _mean(values: FloatArray) -> Estimate:
    n = len(values)
    return Estimate(float(values.mean()) if n else nan, nan, nan, n, n)
