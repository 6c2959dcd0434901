"""Similarity by a Python function of the user's, which computes the whole (N, N) matrix."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.functions import load_function


def compare(
    responses: Sequence[str], embeddings: npt.NDArray[np.floating] | None, *, function: str
) -> npt.NDArray[np.float64]:
    """Call `module:function` or `file.py:function` with the N texts; returns (N, N).

    Args:
        responses: The N texts.
        embeddings: Not used: texts are compared.
        function: `file.py:name` or `module:name`. Called with the list of a prompt's N distinct
            responses; entry [i, j] of what it returns says how like response i response j is.

    Raises:
        DataError: What it returns has another shape.
    """
    path = Path(function.rpartition(":")[0])
    edited = path.stat().st_mtime_ns if path.is_file() else 0
    matrix = np.asarray(_loaded(function, edited)(list(responses)), dtype=np.float64)
    if matrix.shape != (len(responses), len(responses)):
        raise DataError(
            f"{function} gave a matrix of {matrix.shape} for {len(responses)} responses; expected "
            f"({len(responses)}, {len(responses)}), entry [i, j] saying how like i response j is."
        )
    return matrix


@lru_cache(maxsize=1)
def _loaded(function: str, edited: int) -> Callable[..., Any]:
    return load_function(function)  # cached for all prompts: it may load a model
