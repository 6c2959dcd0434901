"""Compare responses with a Python function of the user's: any matrix there is."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from prefopt_core.errors import DataError
from prefopt_core.functions import load_function


def compare(
    responses: Sequence[str], embeddings: npt.NDArray[np.floating] | None, *, function: str
) -> npt.NDArray[np.float64]:
    """Call `module:function` or `file.py:function` with the N texts; returns (N, N)."""
    matrix = np.asarray(load_function(function)(list(responses)), dtype=np.float64)
    if matrix.shape != (len(responses), len(responses)):
        raise DataError(
            f"{function} gave a matrix of {matrix.shape} for {len(responses)} responses; expected "
            f"({len(responses)}, {len(responses)}), entry [i, j] saying how like i response j is."
        )
    return matrix
