"""Score with vLLM's offline engine, in a process of its own; see `prefopt_core.models.vllm`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import PositiveInt

from prefopt_core.ground.errors import DataError
from prefopt_core.models.tokens import Tokens
from prefopt_core.models.vllm import Dtype, EngineSettings, Share, engine_for


def score(
    model: Path,
    sequences: Sequence[tuple[Tokens, Tokens]],
    *,
    dtype: Dtype = "auto",
    python: str | None = None,
    max_model_len: PositiveInt | None = None,
    max_num_seqs: PositiveInt | None = None,
    max_num_batched_tokens: PositiveInt | None = None,
    gpu_memory_utilization: Share = 0.9,
    tensor_parallel_size: PositiveInt = 1,
    data_parallel_size: PositiveInt = 1,
    enforce_eager: bool = False,
) -> npt.NDArray[np.float64]:
    """Score with vLLM; shares the engine of a `vllm` generator with the same settings."""
    engine = engine_for(
        model,
        EngineSettings(
            dtype=dtype,
            python=python,
            max_model_len=max_model_len,
            max_num_seqs=max_num_seqs,
            max_num_batched_tokens=max_num_batched_tokens,
            gpu_memory_utilization=gpu_memory_utilization,
            tensor_parallel_size=tensor_parallel_size,
            data_parallel_size=data_parallel_size,
            enforce_eager=enforce_eager,
        ),
    )
    longest = max((len(prompt) + len(response) for prompt, response in sequences), default=0)
    if longest > engine.max_model_len:
        raise DataError(
            f"A prompt and its response of {longest} tokens do not fit the {engine.max_model_len} "
            "of the vLLM engine. Raise `scoring.params.max_model_len`, or leave such pairs out."
        )
    pairs = [(list(prompt), list(response)) for prompt, response in sequences]
    return np.array(engine.ask("score", {"sequences": pairs}), dtype=np.float64)
