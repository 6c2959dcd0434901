"""What a strategy may ask of its arguments, and the errors that say what to change."""

import numpy as np
import numpy.typing as npt

from prefopt_core.errors import ConfigError
from prefopt_core.selection.candidates import Candidates
from prefopt_core.similarity import cosine


def require_k(k: int, n: int, of: str = "responses") -> None:
    """Refuse a k outside 2..N; `of` says what there are N of."""
    if not 2 <= k <= n:
        raise ConfigError(
            f"Cannot select k={k} of N={n} {of}: k must lie between 2 and N. "
            "Lower `selection.k` or raise `generation.n`."
        )


def similarity_of(candidates: Candidates, strategy: str) -> npt.NDArray[np.float64]:
    """The (N, N) cosine similarity of the candidates, or the news that there are no embeddings."""
    if candidates.embeddings is None:
        raise ConfigError(
            f"Strategy {strategy!r} compares responses by their embeddings, and this run has none. "
            "Set `embedding`, or use a strategy that needs no embeddings, such as 'random'."
        )
    return cosine(candidates.embeddings)
