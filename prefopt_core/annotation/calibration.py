"""Calibrated self-judgment: the policy's rewards made true to labels that no policy has learned.

    P(y ≻ y' | x) = σ(a·Δr + b·Δl)

a > 0 is an inverse temperature (Platt scaling as in Guo et al., arXiv:1706.04599, without the
constant, which two responses in either order do not allow); b takes back what the judge likes or
dislikes about length, as DICE's penalty does (arXiv:2406.09760), but from labels. Both are the
most probable ones under a ~ N(1, 1/s_r²), b ~ N(0, 1/s_l²), s the root mean square of Δr and Δl:

    min  - Σ [p·log σ(z) + (1 - p)·log σ(-z)] + ½s_r²(a - 1)² + ½s_l²b²,    z = a·Δr + b·Δl

So a usual difference is worth a log-odds or two, in whatever unit it comes: after a gentle training
Δr is a tenth of that, and a must be able to be ten. It is convex, so there is one solution. The
prior is worth a handful of pairs: without any, the judge stays as it is.

Notation: r = β·[log π(y|x) - log π_ref(y|x)], l the characters of a response; Δ the chosen response
minus the rejected one; p the label, 1 where it is certain.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from prefopt_core.arrays import FloatArray, log_sigmoid, sigmoid
from prefopt_core.ground.ids import last_text
from prefopt_core.implicit_reward import implicit_reward

log = logging.getLogger(__name__)

LEAST = 0.01
"""The smallest a: the judge's order is kept, and nearly nothing of its confidence."""


@dataclass(frozen=True)
class Calibration:
    """What makes a score of the judge a calibrated one.

    Attributes:
        scale: a, above 0.
        per_character: b, in log-odds.
    """

    scale: float
    per_character: float

    def score(self, reward: float, text: str) -> float:
        """a·r + b·l of one response; differences within a prompt are log-odds."""
        return self.scale * reward + self.per_character * len(text)


def fit(rewards: FloatArray, lengths: FloatArray, labels: FloatArray) -> tuple[float, float]:
    """The most probable a and b.

    Args:
        rewards: (n,) Δr of labelled pairs, in log-odds.
        lengths: (n,) Δl, in any unit.
        labels: (n,) P(chosen better than rejected) of the labels.

    Returns:
        a, at least `LEAST`, and b; 1 and 0 where the differences are 0, or n is.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    differences = np.stack([rewards, lengths], axis=1)
    unit = np.sqrt((differences**2).sum(axis=0) / max(1, len(labels)))
    unit[unit == 0] = 1.0
    differences, usual = differences / unit, np.array([1.0, 0.0]) * unit  # of weights in units

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        z, off = differences @ weights, weights - usual
        likelihood = labels @ log_sigmoid(z) + (1 - labels) @ log_sigmoid(-z)
        return float(off @ off / 2 - likelihood), off + differences.T @ (sigmoid(z) - labels)

    limits = [(LEAST * unit[0], None), (None, None)]
    exact = {"ftol": 0.0, "gtol": 1e-9, "maxiter": 1000}
    found = minimize(loss, usual, jac=True, method="L-BFGS-B", bounds=limits, options=exact)
    a, b = found.x / unit
    return LEAST if np.isclose(a, LEAST) else float(a), float(b)


def calibrate(
    judgments: pl.DataFrame,
    candidates: pl.DataFrame,
    held_out: Sequence[pl.DataFrame],
    reference: Sequence[pl.DataFrame],
    beta: float,
) -> pl.DataFrame:
    """Verdicts of the policy with calibrated scores: pairs of them get calibrated confidences.

    Args:
        judgments: Table `verdicts` of the annotator `policy`.
        candidates: Table `candidates`: the texts it judged.
        held_out: Table `preferences` of labelled pairs that no policy was trained on, with log-
            probabilities under a judging policy; a table for each, the same pairs in each.
        reference: The same under the judge's reference model; empty if it has none.
        beta: β of the judge.
    """
    if held_out[0].is_empty():
        log.warning("The judge stays as it is: no labelled pair is held out to calibrate it by.")
        return judgments
    found = _of_pairs(held_out, reference, beta)
    texts = dict(candidates.select("candidate_id", "response").iter_rows())
    scores = [
        own and [found.score(reward, texts[one]) for reward, one in zip(own, ids, strict=True)]
        for ids, own in judgments.select("responses", "scores").iter_rows()
    ]
    return judgments.with_columns(scores=pl.Series(scores, dtype=judgments.schema["scores"]))


def _of_pairs(
    held_out: Sequence[pl.DataFrame], reference: Sequence[pl.DataFrame], beta: float
) -> Calibration:
    pairs = held_out[0]
    chosen, rejected = (
        implicit_reward(_logps(held_out, side), _logps(reference, side), beta=beta)
        for side in ("chosen", "rejected")
    )
    written, other = (
        np.array([len(last_text(said)) for said in pairs[side]]) for side in ("chosen", "rejected")
    )
    a, b = fit(chosen - rejected, written - other, pairs["confidence"].to_numpy())
    log.info(
        "By %s labelled pairs that were held out, the judge's margins count %.3g times, and each "
        "character adds %.3g to a response's log-odds.",
        pairs.height,
        a,
        b,
    )
    if a <= LEAST:
        log.warning(
            "The judge is right about no more of the %s labelled pairs that were held out than "
            "chance is: its margins hardly count, and what is left is length. Train longer on "
            "labels, or buy more.",
            pairs.height,
        )
    return Calibration(a, b)


def _logps(tables: Sequence[pl.DataFrame], side: str) -> FloatArray:
    """(n,) mean over models of a side's log-probability; 0 without a model."""
    if not tables:
        return np.zeros(1)
    return np.mean([table[f"ref_{side}_logps"].to_numpy() for table in tables], axis=0)
