"""Similarity measures: how similar two responses to a prompt are.

To add one, write `selection/similarity/<name>.py` with a function of the `Measure` type and add its
line to `SIMILARITIES`. Nothing else changes.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.registry import Registry
from prefopt_core.selection.similarity.embeddings import cosine

Measure = Callable[..., npt.NDArray[np.floating]]
"""`(responses, embeddings, *, **params) -> (N, N)`; [i, j] is the similarity of response i to j."""

SIMILARITIES: Registry[Measure] = Registry(
    "similarity measure",
    {
        "bertscore": "prefopt_core.selection.similarity.bertscore:compare",
        "bleu": "prefopt_core.selection.similarity.ngrams:bleu",
        "chrf": "prefopt_core.selection.similarity.ngrams:chrf",
        "cosine": "prefopt_core.selection.similarity.embeddings:compare",
        "function": "prefopt_core.selection.similarity.function:compare",
    },
    "prefopt.similarities",
)

__all__ = ["SIMILARITIES", "Measure", "cosine"]
