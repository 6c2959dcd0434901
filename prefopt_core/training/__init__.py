"""Training: a policy learns from preference pairs.

To add a loss, write a frozen dataclass with `__call__(pairs) -> (B,)` in `objectives.py` and add
its line to `LOSSES`. Nothing else changes.
"""

from collections.abc import Callable

from prefopt_core.ground.registry import Registry
from prefopt_core.training.objectives import Objective

LOSSES: Registry[Callable[..., Objective]] = Registry(
    "loss",
    {
        "cdpo": "prefopt_core.training.objectives:Cdpo",
        "dpo": "prefopt_core.training.objectives:Dpo",
        "ipo": "prefopt_core.training.objectives:Ipo",
        "noise_aware": "prefopt_core.training.objectives:NoiseAware",
        "rdpo": "prefopt_core.training.objectives:Rdpo",
        "simpo": "prefopt_core.training.objectives:Simpo",
    },
    "prefopt.losses",
)
"""`LOSSES[name](beta, **params)` is an objective: call it with `PairLogps`, get (B,) losses."""

__all__ = ["LOSSES", "Objective"]
