"""`Candidates`, which a selection strategy is given, and `Found`, which it may return.

A strategy says by the type of its first parameter what it needs: `Candidates`, `Estimated` or
`Ensemble`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from prefopt_core.arrays import FloatArray
from prefopt_core.ground.errors import DataError
from prefopt_core.ground.ids import quoted
from prefopt_core.selection.similarity.embeddings import compare


@dataclass(frozen=True)
class Found:
    """A selected set, its objective, and an upper bound on the objective of every set.

    Attributes:
        members: k indices, ascending.
        value: Objective of the set.
        bound: No set of k has a larger objective; equal to `value` if the set is proved optimal.
    """

    members: list[int]
    value: float
    bound: float


Strategy = Callable[..., list[int] | Found]
"""`(candidates, k, rng, *, **params) -> k distinct indices, ascending`; or these as `Found`."""


@dataclass(frozen=True)
class Candidates:
    """The N distinct responses to one prompt, and what is known before any label is bought.

    Attributes:
        responses: N texts, all different.
        counts: (N,) how often each was sampled; all 1 when nothing repeats.
        embeddings: (N, d) float32, rows of unit length; None when no embedder is configured.
        logps: (N,) summed log-probabilities under the policy that wrote them; None if unknown.
        measure: How responses are compared, see `prefopt_core.selection.similarity`.
    """

    responses: Sequence[str]
    counts: npt.NDArray[np.intp]
    embeddings: npt.NDArray[np.float32] | None = None
    logps: FloatArray | None = None
    measure: Callable[[Sequence[str], npt.NDArray[np.float32] | None], FloatArray] = compare

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def comparable(self) -> bool:
        """Whether `similarity` can be computed: only the cosine needs embeddings."""
        return self.embeddings is not None or self.measure is not compare

    @cached_property
    def similarity(self) -> FloatArray:
        """(N, N), [i, j] = similarity of response i to response j; computed on first use.

        Raises:
            ConfigError: The measure is the cosine, and there are no embeddings.
            DataError: An entry is not finite.
        """
        matrix = self.measure(self.responses, self.embeddings)
        if not np.isfinite(matrix).all():
            i, j = np.argwhere(~np.isfinite(matrix))[0].tolist()
            raise DataError(
                f"The similarity of {quoted(self.responses[i])} to {quoted(self.responses[j])} is "
                f"{matrix[i, j]}: it must be finite. Look at `selection.similarity`."
            )
        return matrix


@dataclass(frozen=True, kw_only=True)
class Estimated(Candidates):
    """Candidates of whose rewards something is believed, for strategies that choose one pair.

    Only differences of rewards within the prompt mean anything.

    Attributes:
        rewards: (N,) r, estimated rewards, in the units of log-odds; higher is better.
        spreads: (N,) s >= 0, standard deviations of what is believed, in the same units.
    """

    rewards: FloatArray
    spreads: FloatArray


@dataclass(frozen=True, kw_only=True)
class Ensemble(Estimated):
    """Candidates of whose rewards several heads have an opinion each.

    Attributes:
        heads: (N, H) rewards by each of H >= 2 heads.
    """

    heads: FloatArray
