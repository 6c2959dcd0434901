"""Scorers: who computes log-probabilities of responses. One file each; one line in `SCORERS`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.registry import Registry

Scorer = Callable[..., npt.NDArray[np.float64]]
"""`(model: Path, sequences, *, **params) -> (n,)`, for n (prompt, response) token ids: in nats,
the log-probability of the response at temperature 1, summed, end of sequence included."""

SCORERS: Registry[Scorer] = Registry(
    "scorer",
    {
        "transformers": "prefopt_core.scoring.transformers_local:score",
        "vllm": "prefopt_core.scoring.vllm_offline:score",
    },
    "prefopt.scorers",
)

__all__ = ["SCORERS", "Scorer"]
