"""Pairing rules: from scores to (chosen, rejected). One file each; one line in `PAIRINGS`."""

from collections.abc import Callable

from prefopt_core.ground.registry import Registry

Pairing = Callable[..., list[tuple[int, int]]]
"""`(scores, rng, *, **params) -> (chosen, rejected) indices`, each pair with unequal scores."""

PAIRINGS: Registry[Pairing] = Registry(
    "pairing rule",
    {
        "all_pairs": "prefopt_core.pairing.all_pairs:pair",
        "best_against_random": "prefopt_core.pairing.best_against_random:pair",
        "best_against_worst": "prefopt_core.pairing.best_against_worst:pair",
    },
    "prefopt.pairings",
)

__all__ = ["PAIRINGS", "Pairing"]
