"""Score with vLLM's offline engine, in a process of its own; see `prefopt_core.models.vllm`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prefopt_core.ground.errors import DataError
from prefopt_core.ground.registry import Spread
from prefopt_core.models.tokens import Tokens
from prefopt_core.models.vllm import engine_for
from prefopt_core.models.vllm.interpreter import no_engine
from prefopt_core.models.vllm.settings import EngineSettings


def score(
    model: Path,
    sequences: Sequence[tuple[Tokens, Tokens]],
    *,
    engine: Spread[EngineSettings],
) -> npt.NDArray[np.float64]:
    """Score with vLLM; shares the engine of a `vllm` generator with the same settings.

    Raises:
        DataError: A prompt and its response are longer than the engine's `max_model_len`.
    """
    served = engine_for(model, engine)
    longest = max((len(prompt) + len(response) for prompt, response in sequences), default=0)
    if longest > served.max_model_len:
        raise DataError(
            f"A prompt and its response of {longest} tokens do not fit the {served.max_model_len} "
            "of the vLLM engine. Raise `scoring.params.max_model_len`, or leave such pairs out."
        )
    pairs = [(list(prompt), list(response)) for prompt, response in sequences]
    return np.array(served.ask("score", {"sequences": pairs}), dtype=np.float64)


def check_score(*, python: str | None) -> Iterator[str]:
    """Look whether vLLM's interpreter is there, which only scoring needs."""
    yield from no_engine(python)
