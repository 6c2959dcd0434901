"""Settings of a vLLM engine, which every registry member that uses one takes."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from prefopt_core.ground.registry import SpeedOnly
from prefopt_core.models.loading import own_dtype

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
MemoryShare = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class EngineSettings:
    """Settings of every registry member that uses vLLM. Names are vLLM's, but `python`.

    Attributes:
        dtype: Of weights and activations; "auto" is the model's own.
        python: Interpreter that has vLLM; None: $PREFOPT_VLLM_PYTHON, else this one.
        max_model_len: Tokens of prompt and response; None: as many as the model takes.
        max_num_seqs: Sequences in a batch; None: vLLM's choice.
        max_num_batched_tokens: Tokens of one forward pass; None: vLLM's choice.
        gpu_memory_utilization: Share of each GPU's memory that the engine takes.
        tensor_parallel_size: GPUs that share one copy of the model.
        data_parallel_size: Copies of the model, each on GPUs of its own; they share the prompts.
        enforce_eager: Compile nothing: faster to start, slower to run.
    """

    dtype: Dtype = "auto"
    python: SpeedOnly[str | None] = None
    max_model_len: SpeedOnly[PositiveInt | None] = None
    max_num_seqs: SpeedOnly[PositiveInt | None] = None
    max_num_batched_tokens: SpeedOnly[PositiveInt | None] = None
    gpu_memory_utilization: SpeedOnly[MemoryShare] = 0.9
    tensor_parallel_size: SpeedOnly[PositiveInt] = 1
    data_parallel_size: SpeedOnly[PositiveInt] = 1
    enforce_eager: SpeedOnly[bool] = False

    def for_vllm(self, model: Path) -> dict[str, Any]:
        """These settings as arguments of `vllm.LLM`, without those that are None."""
        ours = ("python", "data_parallel_size")
        told = {k: v for k, v in asdict(self).items() if k not in ours and v is not None}
        # vLLM's own "auto" would round float32 to 16 bits.
        own = str(own_dtype(model)).removeprefix("torch.")
        return told | {"dtype": own} if self.dtype == "auto" else told
