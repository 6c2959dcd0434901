"""The win rate: how often a policy's response is better than the reference's."""

from collections.abc import Iterator

from prefopt_core.evaluation.games import Figure, Games
from prefopt_core.evaluation.statistics import mean_figure


def win_rate(games: Games, seed: int) -> Iterator[Figure]:
    """Mean preference over the reference; a tie counts half, a preference of 0.7 counts 0.7.

    AlpacaEval's `win_rate` and `standard_error`, as shares (Li et al. 2023).
    """
    for policy, own in games.against_reference():
        yield mean_figure(policy, own["preference"].to_numpy(), seed=seed)
