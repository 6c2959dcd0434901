"""What a selection strategy is given, and what it must return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]

Strategy = Callable[..., list[int]]
"""`(candidates, k, rng, *, **params) -> k distinct indices, ascending`."""


@dataclass(frozen=True)
class Candidates:
    """The N distinct responses to one prompt, and what is known before any label is bought.

    Attributes:
        responses: N texts, all different.
        counts: (N,) how often each was sampled; all 1 when nothing repeats.
        embeddings: (N, d) float32, rows of unit length; None when no embedder is configured.
        logps: (N,) summed log-probabilities under the policy that wrote them; None if unknown.
    """

    responses: Sequence[str]
    counts: npt.NDArray[np.intp]
    embeddings: npt.NDArray[np.float32] | None = None
    logps: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.responses)
