"""Training: a policy learns from preference pairs; `LOSSES` has the losses a config can name.

To add one, write a function `(beta, *, **params) -> Objective` in `objectives.py` and add its line
to `LOSSES`. Nothing else changes. One that must know more of a pair is an `objectives.Informed`.
"""

from collections.abc import Callable

from prefopt_core.ground.registry import Registry
from prefopt_core.training.objectives import Objective

LOSSES: Registry[Callable[..., Objective]] = Registry(
    "loss",
    {
        "cdpo": "prefopt_core.training.objectives:cdpo",
        "cream": "prefopt_core.training.objectives:Cream",
        "dpo": "prefopt_core.training.objectives:dpo",
        "dpo_norm": "prefopt_core.training.objectives:dpo_norm",
        "ipo": "prefopt_core.training.objectives:ipo",
        "noise_aware": "prefopt_core.training.objectives:NoiseAware",
        "rdpo": "prefopt_core.training.objectives:rdpo",
        "simpo": "prefopt_core.training.objectives:simpo",
        "soft": "prefopt_core.training.objectives:soft",
        "sppo": "prefopt_core.training.objectives:Sppo",
        "sppo_hard": "prefopt_core.training.objectives:sppo_hard",
        "ssapo": "prefopt_core.training.objectives:Ssapo",
    },
    "prefopt.losses",
)
"""`LOSSES[name](beta, **params)` is an objective: call it with `PairLogps`, get (B,) losses."""

__all__ = ["LOSSES", "Objective"]
