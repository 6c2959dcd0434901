"""Evaluation: metrics of a round, diagnostics, early stopping; evaluators compare policies.

An evaluator is a function of the `Evaluator` type in a file of this room, and a line in
`EVALUATORS`. What comes in are games: whose response to a prompt was said to be the better one.
"""

from collections.abc import Callable, Iterator

from prefopt_core.evaluation.games import Figure, Games
from prefopt_core.ground.registry import Registry

Evaluator = Callable[[Games, int], Iterator[Figure]]
"""`(games, seed) -> figures`, one of each policy but the reference."""

EVALUATORS: Registry[Evaluator] = Registry(
    "evaluator",
    {
        "win_rate": "prefopt_core.evaluation.win_rate:win_rate",
        "discrete_win_rate": "prefopt_core.evaluation.discrete_win_rate:discrete_win_rate",
        "length_controlled_win_rate": (
            "prefopt_core.evaluation.length_controlled:length_controlled_win_rate"
        ),
        "bradley_terry": "prefopt_core.evaluation.bradley_terry:bradley_terry",
    },
    "prefopt.evaluators",
)

__all__ = ["EVALUATORS", "Evaluator", "Figure", "Games"]
