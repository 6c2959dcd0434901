"""The length-controlled win rate: what it would be if responses were as long as the reference's.

Dubois et al. 2024 (arXiv:2404.04475), the model of AlpacaEval 2:

    P(policy better) = σ(φ·tanh(Δ / s) + θ),    Δ = length of reference - of policy

with s the standard deviation of Δ. φ and θ minimise the weighted log loss with an L1 penalty,
whose strength is the best of ten by cross-validation over prompts. The win rate is σ(θ): Δ is 0.

AlpacaEval's leaderboard adds a term for the difficulty of each of its own 805 instructions, and
answers of two gamed baselines to these, as tables of numbers. Other prompts have neither, so that
this is `length_controlled_minimal` of its package: for the leaderboard's figure hand the answers
over with `prefopt export --answers alpaca_eval`.
"""

import warnings
from collections.abc import Iterator

import numpy as np

from prefopt_core.arrays import FloatArray, IndexArray, sigmoid
from prefopt_core.evaluation.games import Figure, Games
from prefopt_core.evaluation.statistics import resampled, spread_figure

_STRENGTHS = np.logspace(-4, 4, 10)
"""Inverse penalties that are tried."""
_FOLDS = 5
_RESAMPLES = 200
"""The model is fitted again for each."""


def length_controlled_win_rate(games: Games, seed: int) -> Iterator[Figure]:
    """Win rate at the reference's lengths, by AlpacaEval 2's logistic model.

    A policy with fewer than five games, one for each fold, gets none. The interval resamples
    prompts at the strength that was chosen; where that holds φ and θ at 0, as neither foretells
    who wins other prompts, the win rate is ½ and there is no interval.
    """
    for policy, own in games.against_reference():
        if own.height < _FOLDS:
            continue
        preference, length, other = (
            own[name].to_numpy() for name in ("preference", "length", "opponent_length")
        )
        features = features_of(length, other)
        strength = best_strength(features, preference)
        weights = fitted(features, preference, strength)
        if not weights.any():  # held at 0 by the penalty, also if prompts were drawn again
            yield Figure(policy, 0.5, None, None, None, own.height)
            continue
        draws = resampled(len(preference), seed=seed, resamples=_RESAMPLES)
        again = [sigmoid(fitted(features, preference, strength, each)[1]) for each in draws]
        yield spread_figure(policy, float(sigmoid(weights[1])), np.array(again), own.height)


def features_of(length: FloatArray, other: FloatArray) -> FloatArray:
    """(n, 2): tanh of the standardised difference in length, 0 if all are equal; and 1.

    Args:
        length: (n,) of the policy's responses, in characters.
        other: (n,) of the reference's.
    """
    difference = other - length
    spread = difference.std(ddof=1)
    scaled = np.tanh(difference / spread) if spread > 0 else 0 * difference
    return np.column_stack([scaled, np.ones_like(scaled)])


def best_strength(features: FloatArray, preference: FloatArray) -> float:
    """The inverse penalty of the lowest mean log loss on prompts that the model was not fitted to.

    Args:
        features: (n, 2), see `features_of`.
        preference: (n,) P(policy better).
    """
    losses = [
        [
            _log_loss(
                features[test], preference[test], fitted(features[train], preference[train], c)
            )
            for c in _STRENGTHS
        ]
        for train, test in _folds(len(preference))
    ]
    return float(_STRENGTHS[np.argmin(np.mean(losses, axis=0))])


def fitted(
    features: FloatArray, preference: FloatArray, strength: float, times: FloatArray | None = None
) -> FloatArray:
    """(2,) φ and θ.

    A preference p is a win of weight p and a loss of weight 1 - p.

    Args:
        features: (n, 2).
        preference: (n,) P(policy better).
        strength: Inverse penalty.
        times: (n,) how often each game counts; None: once.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    times = np.ones_like(preference) if times is None else times
    outcome = np.repeat([1, 0], len(preference))
    weight = np.concatenate([preference * times, (1 - preference) * times])
    if not weight[outcome == 0].any() or not weight[outcome == 1].any():
        return np.array([0.0, np.inf if weight[outcome == 1].any() else -np.inf])
    model = LogisticRegression(
        l1_ratio=1.0, C=strength, solver="liblinear", fit_intercept=False, random_state=123
    )
    with warnings.catch_warnings():
        # Where lengths all but tell who wins, a weak penalty lets φ grow on and on. It is one of
        # ten strengths that are compared.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(np.concatenate([features, features]), outcome, weight).coef_[0]


def _log_loss(features: FloatArray, preference: FloatArray, weights: FloatArray) -> float:
    with np.errstate(invalid="ignore"):
        chance = np.clip(sigmoid(features @ weights), 1e-15, 1 - 1e-15)
    return float(-np.mean(preference * np.log(chance) + (1 - preference) * np.log(1 - chance)))


def _folds(n: int) -> Iterator[tuple[IndexArray, IndexArray]]:
    """(train, test) of each fold: the prompts dealt out one by one, the last first."""
    fold = np.arange(n)[::-1] % _FOLDS
    for number in range(_FOLDS):
        yield np.flatnonzero(fold != number), np.flatnonzero(fold == number)
