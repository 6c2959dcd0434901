"""Similarity by a Python function of the user's, which computes the whole (N, N) matrix."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import DataError, UserCodeError
from prefopt_core.ground.functions import UserFunction, check_call, load_function
from prefopt_core.ground.ids import quoted
from prefopt_core.ground.user_code import content_of


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
        DataError: What it returns is no matrix of numbers, or has another shape.
        UserCodeError: It raised.
    """
    try:
        made = _loaded(function, content_of(function))(list(responses))
    except UserCodeError as error:
        raise UserCodeError(
            f"{error}, asked about {len(responses)} responses, the first {quoted(responses[0])}. "
            "Mend the function and run the same command again; it goes on from here."
        ) from error.__cause__
    try:
        matrix = np.asarray(made, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{function} gave {quoted(made)} for {len(responses)} responses; expected a matrix of "
            f"numbers, {len(responses)} rows of {len(responses)}: {error}."
        ) from error
    if matrix.shape != (len(responses), len(responses)):
        raise DataError(
            f"{function} gave a matrix of {matrix.shape} for {len(responses)} responses; expected "
            f"({len(responses)}, {len(responses)}), entry [i, j] saying how like i response j is."
        )
    return matrix


@lru_cache(maxsize=1)
def _loaded(function: str, content: str | None) -> UserFunction:
    return load_function(function)  # kept for all prompts: it may load a model


def check_compare(*, function: str) -> Iterator[str]:
    """Load the function, and see whether it can be called with a list of texts.

    Raises:
        ConfigError: It cannot.
        UserCodeError: Its file raises when it is loaded.
    """
    check_call(load_function(function), function, "responses")
    yield from ()
