"""Bradley–Terry strengths of policies, from the games between all of them."""

from collections.abc import Iterator

import numpy as np

from prefopt_core.arrays import FloatArray, sigmoid
from prefopt_core.evaluation.games import Figure, Games
from prefopt_core.evaluation.statistics import resampled, spread_figure

ELO = 400 / np.log(10)
"""Points of the Elo scale in a nat: 400 points are odds of ten to one."""
_PRIOR = 1e-4
"""Of θ² in the penalty: it moves a fit by less than a point, and holds one that wins every game."""
_RESAMPLES = 200
_STEPS = 100
_CLOSE = 1e-9
"""Nats: a Newton step as small as this is the last."""


def bradley_terry(games: Games, seed: int) -> Iterator[Figure]:
    """Strength of each policy in Elo points above the reference, from the games between all.

    P(i better than j) = σ(θi - θj), θ of the reference 0 (Bradley and Terry 1952); a tie is half a
    win of either. The interval resamples prompts, with all games about them.
    """
    names = [games.reference, *sorted({*games.table["policy"]} - {games.reference})]
    wins = _wins(games, names)
    if not len(wins):
        return
    theta = strengths(wins.sum(axis=0))
    draws = resampled(len(wins), seed=seed, resamples=_RESAMPLES)
    again = np.array([strengths(np.tensordot(times, wins, 1)) for times in draws])
    played = (wins.sum(axis=0) + wins.sum(axis=0).T).sum(axis=1)
    for at, name in enumerate(names[1:], 1):
        value = float(ELO * (theta[at] - theta[0]))
        yield spread_figure(name, value, ELO * (again[:, at] - again[:, 0]), round(played[at]))


def strengths(wins: FloatArray) -> FloatArray:
    """(k,) θ of the highest likelihood, with a weak penalty; their mean is 0.

    Args:
        wins: (k, k) at i, j: games that i won against j, parts of games included.
    """
    theta = np.zeros(len(wins))
    played = wins + wins.T
    for _ in range(_STEPS):
        chance = sigmoid(theta[:, None] - theta[None, :])
        slope = (wins - played * chance).sum(axis=1) - _PRIOR * theta
        bend = played * chance * (1 - chance)
        curvature = np.diag(bend.sum(axis=1) + _PRIOR) - bend
        step = np.clip(np.linalg.solve(curvature, slope), -1.0, 1.0)
        theta = theta + step
        if abs(step).max() < _CLOSE:
            break
    return theta - theta.mean()


def _wins(games: Games, names: list[str]) -> FloatArray:
    """(prompts, k, k) at p, i, j: what policy i won of j at prompt p."""
    prompts = {prompt: at for at, prompt in enumerate(games.table["prompt_id"].unique().sort())}
    place = {name: at for at, name in enumerate(names)}
    wins = np.zeros((len(prompts), len(names), len(names)))
    rows = games.table.select("prompt_id", "policy", "opponent", "preference").iter_rows()
    for prompt, policy, opponent, preference in rows:
        p, i, j = prompts[prompt], place[policy], place[opponent]
        wins[p, i, j], wins[p, j, i] = preference, 1 - preference
    return wins
