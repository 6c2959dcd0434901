"""The discrete win rate: the share of games won, however narrowly."""

from collections.abc import Iterator

from prefopt_core.evaluation.games import Figure, Games, wins
from prefopt_core.evaluation.statistics import mean_figure
from prefopt_core.labels.comparisons import SAME


def discrete_win_rate(games: Games, seed: int) -> Iterator[Figure]:
    """Share of games won, a tie counts half: every preference above ½ is a win.

    AlpacaEval's `discrete_win_rate`, as a share.
    """
    for policy, own in games.against_reference():
        preference = own["preference"].to_numpy()
        decided = (abs(preference - 0.5) > SAME) * (preference - 0.5)
        yield mean_figure(policy, wins(decided, 0 * decided), seed=seed)
