"""Cosine similarity of sentence embeddings: AEPO's own measure.

Notation: N texts, d dimensions of an embedding, e_i the embedding of text i.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import ConfigError, DataError


def compare(
    responses: Sequence[str], embeddings: npt.NDArray[np.floating] | None
) -> npt.NDArray[np.float64]:
    """The cosine of the embeddings that `embedding` asks for (AEPO).

    Args:
        responses: N texts; not used.
        embeddings: (N, d), see `cosine`.

    Returns:
        (N, N), see `cosine`.

    Raises:
        ConfigError: There are no embeddings.
    """
    if embeddings is None:
        raise ConfigError(
            "The similarity 'cosine' compares responses by their embeddings, and this run has "
            "none. Set `embedding`, use another `selection.similarity`, or a strategy that "
            "compares nothing, such as 'random'."
        )
    return cosine(embeddings)


def cosine(embeddings: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Compare every pair of embeddings by the angle between them.

        u_ij = e_i·e_j / (|e_i| |e_j|)

    Args:
        embeddings: (N, d), any length and any float type; computed in float64. A row of zeros
            has similarity 0 to everything.

    Returns:
        (N, N), symmetric, within [-1, 1].

    Raises:
        DataError: A value is not finite.

    >>> cosine(np.array([[3.0, 0.0], [4.0, 4.0]])).round(3).tolist()
    [[1.0, 0.707], [0.707, 1.0]]
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        raise DataError(
            f"Embedding {finite.argmin()} of {len(rows)} holds a value that is not finite. "
            "Embed the responses again, or use another embedder."
        )
    rows = unit(rows)
    return np.clip(rows @ rows.T, -1.0, 1.0)


def unit(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Rows of length 1, along the last axis; rows of zeros stay as they are."""
    # Divide by the largest entry first: squares of huge or tiny entries over- or underflow.
    rows = rows / _one_for_zero(np.abs(rows).max(axis=-1, keepdims=True, initial=0.0))
    return rows / _one_for_zero(np.linalg.norm(rows, axis=-1, keepdims=True))


def _one_for_zero(divisors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(divisors == 0.0, 1.0, divisors)
